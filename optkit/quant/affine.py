"""Affine quantization: from ranges to scales and zero points, and from float weights to integers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

SMALLEST_SCALE = 2.0**-60
"""Products of two scales, such as a bias has, must not underflow float32."""
INT8_LIMIT = 127
INT7_LIMIT = 64
"""Largest weight of 7 bits. Two products with uint8, 2 x 255 x 64 = 32640, fit the 16 bits of `vpmaddubsw`."""
_INT32_LIMIT = 2**31 - 1
_DEAD = (-1.0, 1.0)
"""What a tensor that was always zero gets: nothing is known of it."""
_NEGLIGIBLE = 2.0**-10
_CHUNK = 1 << 18
"""Weights converted at once: more would not fit the cache."""


class Scale(NamedTuple):
    """Real value = scale x (code - zero_point); float32 scale, uint8 or int8 zero point, both without axes."""

    scale: Array
    zero_point: Array


class Grid(NamedTuple):
    """How a weight becomes int8: real value = scale x code, with codes -limit … limit.

    Attributes:
        scale: float32; one per index of `axis`, or one without axes where that is None.
        axis: Of the channels.
        limit: Largest code.
    """

    scale: Array
    axis: int | None
    limit: int


def activation_scale(low: float, high: float, *, signed: bool) -> Scale:
    """Returns the scale that spreads 8 bits over `[low, high]`, widened so that zero is a code.

    Args:
        low: Smallest value to represent.
        high: Largest value to represent.
        signed: int8 with zero point 0 and codes -127 … 127; otherwise uint8 with codes 0 … 255.

    Raises:
        ValueError: An end is not finite, or they are in the wrong order.
    """
    import numpy as np

    if not (np.isfinite([low, high]).all() and low <= high):
        raise ValueError(f"[{low}, {high}] is no range")
    low, high = min(low, 0.0), max(high, 0.0)
    if low == high:
        low, high = _DEAD
    if signed:
        scale = np.float32(max(-low, high, SMALLEST_SCALE * INT8_LIMIT) / INT8_LIMIT)
        return Scale(np.array(scale), np.array(0, np.int8))
    scale = np.float32(max((high - low) / 255, SMALLEST_SCALE))
    return Scale(np.array(scale), np.array(np.clip(np.rint(-low / scale), 0, 255), np.uint8))


def weight_grid(array: Array, axis: int | None, limit: int = INT8_LIMIT) -> Grid:
    """Returns the finest grid that covers `array`, per index of `axis` or as a whole.

    An all-zero channel gets the largest scale of the others, which keeps its bias precise.
    """
    import numpy as np

    others = None if axis is None else tuple(index for index in range(array.ndim) if index != axis % array.ndim)
    low, high = array.min(axis=others, initial=0), array.max(axis=others, initial=0)
    absmax = np.maximum(-low, high).astype(np.float64)
    largest = absmax.max(initial=0) or float(limit)
    absmax = np.where(absmax == 0, largest, absmax)
    return Grid(np.asarray(np.maximum(absmax / limit, SMALLEST_SCALE), np.float32), axis, limit)


def unsaturated_grid(array: Array, axis: int, *, window_pairs: bool = False) -> Grid:
    """Returns the finest grid per channel whose products with uint8 fit the 16 bits of `vpmaddubsw`.

    The instruction adds two neighbouring products, so only the sum of two neighbouring codes is bounded, by 128, and
    most weights keep their eighth bit. Kernels take the weights of an output channel by window position, then by input
    channel. Rounding adds at most half a code to each.

    Args:
        array: Weights of Conv, Gemm or MatMul.
        axis: Of the output channels.
        window_pairs: Whether a new pair starts at each position of the window, as in OpenVINO, too.
    """
    import numpy as np

    rows = np.moveaxis(np.abs(array), axis, 0)
    rows = np.moveaxis(rows, 1, -1)
    flat = rows.reshape(len(rows), -1)
    peaks = [_largest_pair(flat)]
    if window_pairs and rows.shape[-1] % 2:  # else both pair alike
        peaks.append(_largest_pair(rows))
    grid = weight_grid(array, axis)
    needed = np.max(peaks, axis=0) / (2 * INT7_LIMIT - 0.5)
    return grid._replace(scale=np.maximum(grid.scale, needed.astype(np.float32)))


def _largest_pair(rows: Array) -> Array:
    """Returns the largest sum of two neighbours on the last axis, per index of the first; an odd one stands alone."""
    import numpy as np

    pairs = rows[..., 0:-1:2] + rows[..., 1::2]  # a view each: rows with an odd last one are not copied
    return np.asarray(pairs.reshape(len(rows), -1).max(axis=1, initial=0))


def quantize_weight(array: Array, grid: Grid) -> Array:
    """Returns the int8 codes of float32 weights of one axis or more, rounded half to even and clipped to the grid."""
    import numpy as np

    shape = [1] * array.ndim
    if grid.axis is not None:
        shape[grid.axis] = -1
    scale, codes = grid.scale.reshape(shape), np.empty(array.shape, np.int8)
    rows = max(1, _CHUNK * len(array) // max(1, array.size))
    for first in range(0, len(array), rows):
        part = slice(first, first + rows)
        scaled = np.divide(array[part], scale[part] if len(scale) > 1 else scale, dtype=np.float32)
        np.rint(scaled, out=scaled)
        np.clip(scaled, -grid.limit, grid.limit, out=scaled)
        codes[part] = scaled
    return codes


def widened_for_bias(grid: Grid, bias: Array, input_scale: float, products: int) -> Grid | None:
    """Returns a grid with which `bias / (input_scale x scale)` fits 32 bits, or None if that would do harm.

    A bias overflows only where it dwarfs its channel's weights. Widening that channel's scale, and no other's, to
    s' = |bias| / (2^31 input_scale) then moves the channel by at most `products` x 255 input_scale x s' / 2, so by
    `products` x 255 / 2^32 of its bias.

    Args:
        grid: Of the weights.
        bias: One float per channel.
        input_scale: Of the activation.
        products: Number of products summed per output element.
    """
    import numpy as np

    needed = np.abs(bias.astype(np.float64)) / (_INT32_LIMIT - 1) / input_scale
    if (needed <= grid.scale).all():
        return grid
    if grid.axis is None or products * 255 / 2**32 > _NEGLIGIBLE:
        return None
    return grid._replace(scale=np.maximum(grid.scale, np.nextafter(needed.astype(np.float32), np.float32(np.inf))))


def quantize_bias(bias: Array, input_scale: float, scale: Array) -> tuple[Array, Array]:
    """Returns the int32 codes of `bias` and their float32 scales, input_scale x scale, as integer kernels add them."""
    import numpy as np

    product = np.asarray(np.float32(input_scale) * scale, np.float32)
    codes = np.rint(bias.astype(np.float64) / product.astype(np.float64))
    return np.clip(codes, -_INT32_LIMIT, _INT32_LIMIT).astype(np.int32), product
