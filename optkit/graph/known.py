"""What is known of a tensor when the sizes of a graph's inputs are given."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx
    import onnx_ir as ir
    from numpy.typing import NDArray

    Axes = tuple[int | None, ...]

SMALL = 128
"""Elements up to which values are followed: sizes, axes and indices are that few, weights are not."""


@dataclass(frozen=True, slots=True)
class Known:
    """A tensor, or a sequence of them.

    Attributes:
        type: The serialized `TypeProto`; empty if nothing is known.
        shape: Its axes, None for one of unknown size; None if not even the rank is known, or if it is no tensor.
        kind: Element type as `onnx.TensorProto.DataType` numbers it; 0 if unknown.
        value: Its few values, where they follow from the sizes.
    """

    type: bytes = b""
    shape: Axes | None = None
    kind: int = 0
    value: NDArray[Any] | None = None

    @property
    def elements(self) -> int | None:
        """How many elements there are, or None if an axis is unknown."""
        if self.shape is None:
            return None
        sizes = [axis for axis in self.shape if axis is not None]
        return math.prod(sizes) if len(sizes) == len(self.shape) else None

    @property
    def bytes(self) -> int | None:
        """What its elements take, each packed as tightly as ONNX packs it; None if that is unknown."""
        import onnx_ir as ir

        if self.elements is None or self.kind in {0, ir.DataType.STRING}:
            return None
        return math.ceil(self.elements * ir.DataType(self.kind).bitwidth / 8)

    def axis(self, index: int) -> int | None:
        """Returns the size of an axis, or None if it is unknown or absent."""
        return self.shape[index] if self.shape is not None and -len(self.shape) <= index < len(self.shape) else None


UNKNOWN = Known()


def tensor(kind: int, shape: Sequence[int | None]) -> Known:
    """Returns a tensor without values."""
    from onnx import helper

    proto = helper.make_tensor_type_proto(kind, tuple(shape))
    return Known(proto.SerializeToString(), tuple(shape), kind)


def array(value: NDArray[Any]) -> Known:
    """Returns a tensor with its values."""
    from dataclasses import replace

    from onnx import helper

    return replace(tensor(helper.np_dtype_to_tensor_dtype(value.dtype), value.shape), value=value)


def stored(weight: ir.TensorProtocol) -> Known:
    """Returns a stored tensor; its values are read only if they are few."""
    if weight.size > SMALL or weight.dtype.name == "STRING":
        return tensor(weight.dtype, weight.shape.numpy())
    return array(weight.numpy())


def of_type(proto: onnx.TypeProto) -> Known:
    """Returns what a type says."""
    held = proto.tensor_type
    is_shaped = proto.HasField("tensor_type") and held.HasField("shape")
    axes = tuple(axis.dim_value if axis.HasField("dim_value") else None for axis in held.shape.dim)
    return Known(proto.SerializeToString(), axes if is_shaped else None, held.elem_type)
