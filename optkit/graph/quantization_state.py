"""What is quantized in a graph, how, and why the rest is not."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from optkit.graph.clean import FLOAT_BY
from optkit.graph.quantized_tensors import quantized_tensors
from optkit.graph.quiet import quiet

if TYPE_CHECKING:
    import onnx_ir as ir

    from optkit.graph.quantized_tensors import QuantizedTensor

_WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
_FLOAT_RESULT = frozenset({"Gemm", "MatMul"})
"""Their int8 kernels may write floats."""
_CLAMPS = frozenset({"Relu", "Clip"})
_MOVES = frozenset(
    {"Cast", "Concat", "Expand", "Flatten", "Gather", "Identity", "Pad", "Reshape", "Shape", "Size", "Slice", "Split",
     "Squeeze", "Tile", "Transpose", "Unsqueeze", "Where"}
)  # fmt: skip
"""They only move data: it costs nothing to speak of that they do it in float."""
_PLUMBING = frozenset({"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "Constant"})
_INTEGER = {
    "ConvInteger": "int8-dynamic",
    "DynamicQuantizeLSTM": "int8-dynamic",
    "DynamicQuantizeMatMul": "int8-dynamic",
    "MatMulInteger": "int8-dynamic",
    "MatMulIntegerToFloat": "int8-dynamic",
    "QGemm": "int8",
}
_FLOATS = {"FLOAT": "float32", "FLOAT16": "float16", "BFLOAT16": "bfloat16", "DOUBLE": "float64"}


@dataclass(frozen=True, slots=True)
class NodeState:
    """The precision that a node runs in.

    Attributes:
        name: Its name.
        operator: Its operator.
        precision: int8, int8-dynamic, int8-weights, int4-weights, float16, bfloat16, float32, float64, integers (it
            computes no floats), or unknown.
        reason: Why it is not int8, or what its runtime may miss; empty where there is nothing to say.
    """

    name: str
    operator: str
    precision: str
    reason: str


@dataclass(frozen=True, slots=True)
class TensorState:
    """How a tensor is quantized. Pairs are the smallest and the largest over all scales.

    Attributes:
        name: The float tensor; for a stored weight, the name of its codes.
        role: activation, weight or bias.
        kind: Type of the codes.
        axis: Axis of the scales; None if there is one.
        block: Codes that share a scale along the axis; 0 if each slice has its own.
        scales: How many scales there are; 0 if they are made at run time.
        scale: The scales' ends, or None.
        zero_point: The zero points' ends, or None.
        range: What can be represented, or None.
        method: How an activation's range was chosen, where the graph says so.
        saturated: Share of a stored weight's codes that are the smallest or largest; None for activations.
    """

    name: str
    role: str
    kind: str
    axis: int | None
    block: int
    scales: int
    scale: tuple[float, float] | None
    zero_point: tuple[int, int] | None
    range: tuple[float, float] | None
    saturated: float | None
    method: str = ""


@dataclass(frozen=True, slots=True)
class QuantizationState:
    """All nodes that compute, and all quantized tensors."""

    nodes: tuple[NodeState, ...]
    tensors: tuple[TensorState, ...]

    def left_out(self) -> list[NodeState]:
        """Returns the nodes about which there is something to say, those with weights first."""
        said = [node for node in self.nodes if node.reason]
        return sorted(said, key=lambda node: node.operator not in _WEIGHTED)

    def counts(self) -> dict[str, dict[str, int]]:
        """Returns operator → precision → nodes, the most frequent first; nodes without floats are left out."""
        found: dict[str, Counter[str]] = {}
        for node in self.nodes:
            if node.precision != "integers":
                found.setdefault(node.operator, Counter())[node.precision] += 1
        ordered = sorted(found.items(), key=lambda item: (-item[1].total(), item[0]))
        return {operator: dict(counter.most_common()) for operator, counter in ordered}


def quantization_state(model: ir.Model) -> QuantizationState:
    """Returns the precision of every node and the scales of every quantized tensor.

    It is read from the graph, whose missing types are filled in: a runtime may still fuse, or find no int8 kernel.
    """
    _fill_types(model)
    tensors = tuple(map(tensor_state, quantized_tensors(model)))
    computing = [node for node in model.graph.all_nodes() if node.op_type not in _PLUMBING]
    return QuantizationState(tuple(_node_state(node, is_quantized=bool(tensors)) for node in computing), tensors)


def precisions(model: ir.Model) -> dict[str, dict[str, int]]:
    """Returns operator → precision → nodes without reading a weight; missing types are filled in, in place."""
    _fill_types(model)
    computing = [node for node in model.graph.all_nodes() if node.op_type not in _PLUMBING]
    return QuantizationState(tuple(_node_state(node, is_quantized=False) for node in computing), ()).counts()


def tensor_state(tensor: QuantizedTensor) -> TensorState:
    """Returns the numbers of a quantized tensor."""
    import numpy as np

    scale, zero = tensor.scale, tensor.zero
    ends = shift = span = None
    if scale is not None:
        zeros = np.zeros(scale.shape, np.int64) if zero is None else zero.astype(np.int64)
        low, high = tensor.limits
        steps = scale.astype(np.float64)
        ends = float(steps.min()), float(steps.max())
        shift = int(zeros.min()), int(zeros.max())
        span = float(((low - zeros) * steps).min()), float(((high - zeros) * steps).max())
    saturated = None
    if tensor.codes is not None:
        codes = tensor.read()
        saturated = float(np.isin(codes, tensor.limits).mean()) if codes.size else 0.0
    return TensorState(
        name=tensor.name, role=tensor.role, kind=tensor.kind, axis=tensor.axis, block=tensor.block,
        scales=0 if scale is None else int(scale.size), scale=ends, zero_point=shift, range=span, saturated=saturated,
        method=tensor.method,
    )  # fmt: skip


def _fill_types(model: ir.Model) -> None:
    """Types what is not typed, in place; behind an operator that ONNX does not know, a result is like what it reads."""
    import onnx_ir as ir
    import onnx_ir.passes.common as passes

    with quiet():
        passes.ShapeInferencePass(check_type=False, strict_mode=False, data_prop=False)(model)
    for node in model.graph.all_nodes():
        known = [value.dtype for value in node.inputs if value is not None and value.dtype is not None]
        like = next((dtype for dtype in known if dtype.name in _FLOATS), None) or (known[0] if known else None)
        for value in node.outputs:
            if value.dtype is None and like is not None:
                value.type = ir.TensorType(like)


def _node_state(node: ir.Node, *, is_quantized: bool) -> NodeState:
    name = node.name or (node.outputs[0].name if node.outputs else "") or ""
    precision, reason = _precision(node)
    if FLOAT_BY in node.metadata_props and not precision.startswith("int8"):
        reason = f"kept in float by {node.metadata_props[FLOAT_BY]}"
    return NodeState(name, node.op_type, precision, reason if is_quantized else "")


def _precision(node: ir.Node) -> tuple[str, str]:
    if node.op_type in _INTEGER or node.op_type.startswith("QLinear"):
        return _INTEGER.get(node.op_type, "int8"), ""
    if node.op_type in {"MatMulNBits", "GatherBlockQuantized"}:
        return f"int{node.attributes.get_int('bits', 4)}-weights", ""
    plain = _float_precision(node)
    if plain == "integers":
        return plain, ""
    return _weighted(node, plain) if node.op_type in _WEIGHTED else _follower(node, plain)


def _weighted(node: ir.Node, plain: str) -> tuple[str, str]:
    data, weight = (value for value in node.inputs[:2])
    data_bits, weight_bits = _bits(data), _bits(weight)
    if data_bits and weight_bits:
        is_float = node.op_type not in _FLOAT_RESULT and not _ends_quantized(node)
        return "int8", "its result is not quantized, which ONNX Runtime's kernel needs" if is_float else ""
    if weight_bits and weight is not None and _is_stored(weight):
        return f"int{weight_bits}-weights", f"its input {_name(data)} is not quantized"
    if data_bits:
        return plain, f"its weight {_name(weight)} is not quantized"
    if weight is not None and weight.const_value is None and not weight_bits:
        return plain, f"it multiplies two activations, {_name(data)} and {_name(weight)}, that are not quantized"
    return plain, f"neither its input {_name(data)} nor its weight {_name(weight)} is quantized"


def _follower(node: ir.Node, plain: str) -> tuple[str, str]:
    """An operator without weights is int8 if all that it reads and writes is."""
    floats = [value for value in node.inputs if value is not None and (_is_float(value) or _bits(value))]
    missing = [value for value in floats if not _bits(value)]
    if floats and not missing:
        return ("int8", "") if _ends_quantized(node) else (plain, "its result is not quantized")
    if len(missing) < len(floats):
        return plain, f"its input {_name(missing[0])} is not quantized"
    producer = floats[0].producer() if floats and node.op_type in _CLAMPS and _ends_quantized(node) else None
    if producer is not None and _precision(producer)[0] == "int8":
        return "int8", ""  # the codes' own limits clamp
    return plain, "its inputs are not quantized" if floats and node.op_type not in _MOVES else ""


def _bits(value: ir.Value | None) -> int:
    """Returns the bits of the codes that a value is dequantized from; 0 if it is not."""
    producer = value.producer() if value is not None else None
    if producer is None or producer.op_type != "DequantizeLinear":
        return 0
    codes = producer.inputs[0]
    kind = codes.dtype.name if codes is not None and codes.dtype is not None else "UINT8"
    digits = "".join(filter(str.isdigit, kind))
    return int(digits) if digits and "INT" in kind else 0


def _is_stored(value: ir.Value) -> bool:
    producer = value.producer()
    codes = producer.inputs[0] if producer is not None else None
    return codes is not None and codes.const_value is not None


def _ends_quantized(node: ir.Node) -> bool:
    """Whether every reader of the result quantizes it, if need be after clamping it."""
    readers = [reader for value in node.outputs for reader, _ in value.uses()]
    return bool(readers) and all(
        reader.op_type == "QuantizeLinear" or (reader.op_type in _CLAMPS and _ends_quantized(reader))
        for reader in readers
    )


def _float_precision(node: ir.Node) -> str:
    kinds = [value.dtype.name for value in (*node.outputs, *node.inputs) if value is not None and value.dtype]
    floats = [_FLOATS[kind] for kind in kinds if kind in _FLOATS]
    if floats:
        return floats[0]
    known = all(value.dtype is not None for value in node.outputs)
    return "integers" if known else "unknown"


def _is_float(value: ir.Value) -> bool:
    return value.dtype is not None and value.dtype.name in _FLOATS


def _name(value: ir.Value | None) -> str:
    return repr(value.name) if value is not None else "(absent)"
