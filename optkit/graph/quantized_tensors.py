"""Finds the quantized tensors of a graph, in whatever operators they are kept, and what their codes stand for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optkit.graph.clean import RANGE_BY

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx_ir as ir
    from numpy.typing import NDArray

_BIAS_TYPES = frozenset({"INT32"})
_BLOCK_OPERATORS = frozenset({"MatMulNBits", "GatherBlockQuantized"})
_QLINEAR = {"QLinearConv": (0, 3), "QLinearMatMul": (0, 3)}
"""Operator → where the codes stand; scale and zero point follow each."""


@dataclass(frozen=True, slots=True)
class QuantizedTensor:
    """A tensor of codes.

    Attributes:
        name: The float tensor that they stand for: an activation's own name, or that of a weight's codes.
        role: activation, weight or bias.
        kind: Type of the codes, such as uint8 or int4.
        scale: Float32 scales: one, one per slice along `axis`, or one per block of it; None if made at run time.
        zero: Zero points as integers, shaped as the scales; None means 0.
        axis: The axis of the scales, or None for a single one.
        block: Codes that share a scale along the axis; 0 if the axis has one scale per slice.
        codes: The stored codes as integers, or None for an activation.
        float_name: The tensor that a graph turns the codes into, if it does.
        method: How the range of an activation was chosen, where the graph says so.
    """

    name: str
    role: str
    kind: str
    scale: NDArray[Any] | None
    zero: NDArray[Any] | None
    axis: int | None = None
    block: int = 0
    codes: ir.TensorProtocol | NDArray[Any] | None = None
    float_name: str = ""
    method: str = ""

    @property
    def limits(self) -> tuple[int, int]:
        """The smallest and the largest code."""
        bits = int("".join(filter(str.isdigit, self.kind)))
        return (0, 2**bits - 1) if self.kind.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)

    def read(self) -> NDArray[Any]:
        """Returns the codes as integers that numpy knows; a weight's only."""
        import numpy as np

        if self.codes is None:
            raise ValueError(f"{self.name} stores no codes")
        codes = self.codes if isinstance(self.codes, np.ndarray) else self.codes.numpy()
        return codes if codes.dtype.name in {"int8", "uint8", "int32"} else codes.astype(np.int16)

    def values(self) -> NDArray[Any]:
        """Returns the float32 values of a weight with stored scales, in the layout of its codes."""
        import numpy as np

        values = self.read().astype(np.float32)
        if self.scale is None:
            raise ValueError(f"the scale of {self.name} is made at run time")
        zero = np.zeros_like(self.scale) if self.zero is None else self.zero
        # In place: a large weight is not held three times.
        values -= self._spread(zero.astype(np.float32), values.shape)
        values *= self._spread(self.scale.astype(np.float32), values.shape)
        return values

    def _spread(self, part: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
        import numpy as np

        if self.axis is None or part.ndim == 0:
            return part.reshape(()) if part.size == 1 else part
        if self.block:
            rows = np.arange(shape[self.axis]) // self.block
            return np.take(part, rows, axis=self.axis)
        sizes = [1] * len(shape)
        sizes[self.axis] = -1
        return part.reshape(sizes)


def quantized_tensors(model: ir.Model) -> Iterator[QuantizedTensor]:
    """Yields each quantized tensor once, in graph order."""
    seen: set[tuple[str, str]] = set()
    for node in model.graph.all_nodes():
        for found in _of(node):
            if (found.name, found.role) not in seen:
                seen.add((found.name, found.role))
                yield found


def _of(node: ir.Node) -> Iterator[QuantizedTensor]:
    if node.op_type == "DequantizeLinear":
        yield _dequantized(node)
    elif node.op_type == "DynamicQuantizeLinear":
        name = node.inputs[0].name if node.inputs[0] is not None else ""
        yield QuantizedTensor(name or "", "activation", "uint8", None, None)
    elif node.op_type in {"MatMulInteger", "ConvInteger", "MatMulIntegerToFloat", "DynamicQuantizeMatMul"}:
        yield from _integers(node)
    elif node.op_type in _BLOCK_OPERATORS:
        yield _blocks(node)
    for index in _QLINEAR.get(node.op_type, ()):
        yield _described(node, index, index + 1, index + 2, axis=0 if node.op_type == "QLinearConv" else 1)


def _dequantized(node: ir.Node) -> QuantizedTensor:
    rank = len(node.inputs[0].shape or ()) if node.inputs[0] is not None else 0
    axis, block = node.attributes.get_int("axis", 1), node.attributes.get_int("block_size", 0)
    return _described(node, 0, 1, 2, axis=axis % rank if rank else axis, block=block, result=node.outputs[0].name or "")


def _described(  # noqa: PLR0913  # the operators differ in all of it
    node: ir.Node, codes: int, scale: int, zero: int, *, axis: int, block: int = 0, result: str = ""
) -> QuantizedTensor:
    value, scales = node.inputs[codes], _constant(node, scale)
    assert value is not None  # noqa: S101  # the operators require it
    stored = value.const_value
    producer = value.producer()
    name, method = value.name or "", ""
    if producer is not None and producer.op_type == "QuantizeLinear" and producer.inputs[0] is not None:
        name, method = producer.inputs[0].name or "", producer.metadata_props.get(RANGE_BY, "")
    kind = _kind(value, node.inputs[zero] if len(node.inputs) > zero else None)
    role = "activation" if stored is None else "bias" if kind.upper() in _BIAS_TYPES else "weight"
    zeros = _constant(node, zero)
    if stored is None and scales is not None and scales.size > 1 and (scales == scales.flat[0]).all():
        # One scale of an activation, repeated for a float layer that no optimiser shall take for an int8 one.
        scales, zeros = scales.flat[0].reshape(()), None if zeros is None else zeros.flat[0].reshape(())
    is_single = scales is None or scales.size == 1
    return QuantizedTensor(name, role, kind, scales, zeros, None if is_single else axis, block, stored, result, method)


def _integers(node: ir.Node) -> Iterator[QuantizedTensor]:
    weight = node.inputs[1]
    if weight is not None and weight.const_value is not None:
        index = {"MatMulIntegerToFloat": 3, "DynamicQuantizeMatMul": 2}.get(node.op_type)
        scale = _constant(node, index) if index is not None else None
        axis = None if scale is None or scale.size == 1 else 1
        yield QuantizedTensor(
            weight.name or "", "weight", _kind(weight, None), scale, None, axis, codes=weight.const_value
        )


def _blocks(node: ir.Node) -> QuantizedTensor:
    """Unpacks the weight of an operator of ONNX Runtime into codes [N, K] with scales [N, blocks]."""
    import numpy as np

    get = node.attributes.get_int
    bits, block = get("bits", 4), get("block_size", 128)
    packed, scale, zero = (_constant(node, index) for index in _block_inputs(node))
    value = node.inputs[0 if node.op_type == "GatherBlockQuantized" else 1]
    assert packed is not None  # noqa: S101  # they require a constant weight
    assert scale is not None  # noqa: S101  # and its scales
    assert value is not None  # noqa: S101  # likewise
    rows = len(packed) if node.op_type == "GatherBlockQuantized" else get("N", len(packed))
    codes = _unpacked(packed.reshape(rows, -1), bits)
    codes = codes[:, : get("K", codes.shape[1])]
    scale = scale.reshape(rows, -1)
    middle = np.full(scale.shape, 1 << (bits - 1))
    zeros = middle if zero is None else _unpacked(zero.reshape(rows, -1), bits)[:, : scale.shape[1]]
    return QuantizedTensor(value.name or "", "weight", f"uint{bits}", scale, zeros, 1, block, codes)


def _block_inputs(node: ir.Node) -> tuple[int, int, int]:
    return (0, 2, 3) if node.op_type == "GatherBlockQuantized" else (1, 2, 3)


def _unpacked(packed: NDArray[Any], bits: int) -> NDArray[Any]:
    import numpy as np

    if bits == 8 or packed.dtype.itemsize != 1 or packed.dtype.name in {"int4", "uint4"}:  # noqa: PLR2004  # a byte each
        return packed
    return np.stack([packed & 15, packed >> 4], axis=-1).reshape(len(packed), -1)


def _constant(node: ir.Node, index: int) -> NDArray[Any] | None:
    value = node.inputs[index] if len(node.inputs) > index else None
    return value.const_value.numpy() if value is not None and value.const_value is not None else None


def _kind(value: ir.Value, zero: ir.Value | None) -> str:
    """Returns the type of codes; where shape inference stopped, that of their zero point."""
    kind = value.dtype or (value.const_value.dtype if value.const_value is not None else None)
    if kind is None and zero is not None:
        kind = zero.dtype
    return kind.name.lower() if kind is not None else "uint8"
