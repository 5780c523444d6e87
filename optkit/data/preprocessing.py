"""How a stored value becomes a model input: declared in the manifest, applied here, the same for every reader."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from optkit.core.errors import UsageError
from optkit.core.schema import STRICT

if TYPE_CHECKING:
    import numpy as np

Dtype = Literal[
    "float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool"
]
Layout = Literal["nchw", "nhwc"]
NUMERIC_KINDS = "biuf"


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """What is done to one sample's value, in the order of these fields."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    column: str | None = None
    """Array or column that holds the value; by default the input's own name, or `file` for images."""
    columns: tuple[str, ...] = ()
    """Several columns, stacked into a vector."""
    mode: Literal["RGB", "L"] = "RGB"
    """Images: colour or grey."""
    resize: int | tuple[int, int] | None = None
    """Images: length of the shorter side, or [height, width]."""
    interpolation: Literal["bilinear", "bicubic", "nearest"] = "bilinear"
    """Images: how resize computes pixels."""
    crop: int | tuple[int, int] | None = None
    """Images: size of a square cut from the centre, or [height, width]."""
    layout: Layout | None = None
    """Where channels are: images are arranged so (nchw by default), arrays must be so already. Without it a list in
    mean or std runs along the last axis."""
    shape: tuple[int, ...] | None = None
    """Shape of one sample, without the batch axis."""
    scale: float = 1.0
    """Factor; applied before mean and std."""
    mean: float | tuple[float, ...] = 0.0
    """Subtracted after scaling; one number, or one a channel."""
    std: float | tuple[float, ...] = 1.0
    """Divides what is left; one number, or one a channel."""
    dtype: Dtype | None = None
    """Element type; by default that of a stored array, uint8 for images, float32 after arithmetic."""

    @property
    def has_arithmetic(self) -> bool:
        """Whether scale, mean or std change anything."""
        return (self.scale, self.mean, self.std) != (1.0, 0.0, 1.0)


def prepare(array: np.ndarray, spec: Preprocessing) -> np.ndarray:
    """Returns one sample's value as the model takes it.

    Args:
        array: The stored value; any shape and numeric dtype.
        spec: What to do with it. Arithmetic is done in float32, in float64 if that is the wanted dtype.

    Raises:
        UsageError: The value is not numeric, is empty or NaN, does not have the shape, or does not fit the dtype.
    """
    if array.dtype.kind not in NUMERIC_KINDS:
        raise UsageError(f"holds {array.dtype} values, not numbers")
    if array.size == 0:
        raise UsageError("is empty")
    if spec.shape is not None:
        array = _reshaped(array, spec.shape)
    if spec.has_arithmetic:
        array = _normalised(array, spec)
    return _cast(array, spec.dtype)


def _reshaped(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if array.size != math.prod(shape):
        raise UsageError(f"has shape {list(array.shape)}, which cannot become {list(shape)}")
    return array.reshape(shape)


def _normalised(array: np.ndarray, spec: Preprocessing) -> np.ndarray:
    import numpy as np

    work = np.dtype("float64" if spec.dtype == "float64" else "float32")
    scale, mean, std = (
        _along_channels(value, array.shape, spec.layout).astype(work) for value in (spec.scale, spec.mean, spec.std)
    )
    result: np.ndarray = (array.astype(work) * scale - mean) / std
    return result


def _along_channels(value: float | tuple[float, ...], shape: tuple[int, ...], layout: Layout | None) -> np.ndarray:
    import numpy as np

    values = np.asarray(value)
    if values.ndim == 0:
        return values
    axis = 0 if layout == "nchw" else -1
    if not shape or shape[axis] != len(values):
        raise UsageError(
            f"has shape {list(shape)}, but mean or std list {len(values)} channels",
            hint="say where they are with `layout`",
        )
    return values.reshape(-1, *[1] * (len(shape) - 1)) if axis == 0 else values


def _cast(array: np.ndarray, dtype: str | None) -> np.ndarray:
    import numpy as np

    if array.dtype.kind == "f" and np.isnan(array).any():
        raise UsageError("holds NaN")
    if dtype is None or array.dtype == dtype:
        return np.ascontiguousarray(array).reshape(array.shape)
    with np.errstate(all="ignore"):
        result = array.astype(dtype, order="C")
    exact = result.dtype.kind != "f"
    if exact and not np.array_equal(result, array):
        raise UsageError(f"holds values that are no {dtype} (from {array.min()} to {array.max()})")
    if not exact and not np.array_equal(np.isinf(result), np.isinf(array)):
        raise UsageError(f"holds values too large for {dtype}")
    return result
