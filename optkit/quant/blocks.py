"""Weights in blocks: 4 or 8 bits per weight, one scale (and zero point) per block of rows of a column.

A matrix is [K, N] as in `x @ w`: blocks run along K, over which the product sums.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SMALLEST = 2.0**-100  # a block below it is as good as zero; the quotient by its scale would overflow
_SHRINKS = (1.0, 0.96, 0.92, 0.875, 0.83, 0.79, 0.75, 0.7)
_CHUNK = 1 << 21
"""Elements that are quantized at once: temporaries are several times as large."""


@dataclass(frozen=True, slots=True)
class Form:
    """How a block is stored.

    Attributes:
        bits: 4 or 8.
        block: Rows that share a scale.
        symmetric: Whether zero lies in the middle of the codes; else each block has its zero point.
    """

    bits: int
    block: int
    symmetric: bool

    @property
    def top(self) -> int:
        """The largest code; the smallest is 0."""
        return (1 << self.bits) - 1

    @property
    def middle(self) -> int:
        """The code of zero where blocks have no zero point."""
        return 1 << (self.bits - 1)


@dataclass(frozen=True, slots=True)
class Blocks:
    """A quantized matrix; a weight is `(code - zero) * scale`.

    Attributes:
        form: How it is stored.
        codes: uint8 [K, N].
        scales: float32 [ceil(K / block), N], above 0.
        zeros: uint8 [ceil(K / block), N].
    """

    form: Form
    codes: NDArray[Any]
    scales: NDArray[Any]
    zeros: NDArray[Any]


def quantize(weight: NDArray[Any], form: Form, *, clip: bool = True) -> Blocks:
    """Rounds a matrix to the nearest codes.

    Args:
        weight: Finite floats [K, N].
        form: How to store it.
        clip: Whether a block's range may be smaller than its values, where that lessens the block's squared error.
            Otherwise each weight is off by at most half a scale.
    """
    import numpy as np

    step = max(1, _CHUNK // max(1, len(weight)))
    parts = [_columns(weight[:, start : start + step], form, clip=clip) for start in range(0, weight.shape[1], step)]
    codes, scales, zeros = (np.concatenate(group, axis=1) for group in zip(*parts, strict=True))
    return Blocks(form, codes, scales, zeros)


def dequantize(blocks: Blocks) -> NDArray[Any]:
    """Returns the float32 matrix [K, N] that the codes stand for."""
    import numpy as np

    rows = np.arange(len(blocks.codes)) // blocks.form.block
    # In place: a large matrix is not held three times.
    values = blocks.codes.astype(np.float32)
    values -= blocks.zeros[rows]
    values *= blocks.scales[rows]
    return values


def find_scales(rows: NDArray[Any], form: Form, *, clip: bool) -> tuple[NDArray[Any], NDArray[Any]]:
    """Returns float32 scales and zero points, both [..., 1, N], of blocks [..., rows, N]."""
    import numpy as np

    shrinks = _SHRINKS if clip else _SHRINKS[:1]
    best = None
    for shrink in shrinks:
        scale, zero = _scaled(rows, form, shrink)
        if len(shrinks) == 1:
            return scale, zero
        error = ((encode(rows, scale, zero, form) - zero) * scale - rows) ** 2
        cost = error.sum(axis=-2, keepdims=True)
        if best is None:
            best = cost, scale, zero
            continue
        better = cost < best[0]
        best = tuple(np.where(better, new, old) for new, old in zip((cost, scale, zero), best, strict=True))
    assert best is not None  # noqa: S101  # there is at least one shrink
    return best[1], best[2]


def encode(rows: NDArray[Any], scale: NDArray[Any], zero: NDArray[Any], form: Form) -> NDArray[Any]:
    """Returns the nearest codes, as floats, of values with these scales and zero points."""
    import numpy as np

    codes: NDArray[Any] = rows / scale
    np.rint(codes, out=codes)
    codes += zero
    np.clip(codes, 0, form.top, out=codes)
    return codes


def pack_nibbles(codes: NDArray[Any]) -> NDArray[Any]:
    """Returns 4-bit codes two per byte along the last axis, the first in the low half; an odd end is filled with 0."""
    import numpy as np

    if codes.shape[-1] % 2:
        codes = np.concatenate([codes, np.zeros((*codes.shape[:-1], 1), codes.dtype)], axis=-1)
    packed: NDArray[Any] = codes[..., 0::2] | (codes[..., 1::2] << 4)
    return packed


def unpack_nibbles(packed: NDArray[Any], size: int) -> NDArray[Any]:
    """Returns the first `size` 4-bit codes along the last axis: the inverse of `pack_nibbles`."""
    import numpy as np

    codes = np.stack([packed & 15, packed >> 4], axis=-1).reshape(*packed.shape[:-1], -1)
    return codes[..., :size]


def _columns(weight: NDArray[Any], form: Form, *, clip: bool) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Returns the codes, scales and zero points of some columns."""
    import numpy as np

    weight = weight.astype(np.float32, copy=False)
    full = len(weight) - len(weight) % form.block
    # The last block may be shorter: it is a group of its own, so that nothing made up enters its range.
    groups = [
        part for part in (weight[:full].reshape(-1, form.block, weight.shape[1]), weight[None, full:]) if part.size
    ]
    parts = [_encoded(rows, form, clip=clip) for rows in groups]
    codes, scales, zeros = (np.concatenate(group) for group in zip(*parts, strict=True))
    return codes, scales, zeros


def _encoded(rows: NDArray[Any], form: Form, *, clip: bool) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Returns codes [blocks x rows, N], and scales and zero points [blocks, N], of blocks [blocks, rows, N]."""
    import numpy as np

    scale, zero = find_scales(rows, form, clip=clip)
    codes = encode(rows, scale, zero, form).astype(np.uint8)
    return codes.reshape(-1, rows.shape[2]), scale[:, 0], zero[:, 0].astype(np.uint8)


def _scaled(rows: NDArray[Any], form: Form, shrink: float) -> tuple[NDArray[Any], NDArray[Any]]:
    import numpy as np

    low, high = (end(rows, axis=-2, keepdims=True) * np.float32(shrink) for end in (np.min, np.max))
    low, high = np.minimum(low, 0), np.maximum(high, 0)
    steps = form.top - form.middle if form.symmetric else form.top
    width = np.maximum(-low, high) if form.symmetric else high - low
    dead = width < _SMALLEST
    scale = np.where(dead, np.float32(1), width / np.float32(steps))
    zero = np.full_like(scale, form.middle) if form.symmetric else np.rint(-low / scale)
    return scale, zero
