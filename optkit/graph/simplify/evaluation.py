"""Runs single nodes on constants, in ONNX Runtime: what computes the model computes its constants too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from optkit.graph.simplify.constants import constant

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import onnx
    import onnx_ir as ir
    from numpy.typing import NDArray

_INLINE = 1 << 16
"""Bytes up to which a constant is part of the small graph, where shape inference sees it; others are fed."""
_BOUNDED = frozenset({"Compress", "NonZero", "Unique", "NonMaxSuppression"})
"""Operators whose results are no larger than a few times their inputs, though their sizes are not known ahead."""
_UNSUITABLE = frozenset({"STRING", "UNDEFINED"})


def result_sizes(nodes: Sequence[ir.Node], opsets: Mapping[str, int]) -> dict[ir.Node, int]:
    """Returns node → bytes of its results, for those nodes of which that is known without running them."""
    import onnx

    graph = _graph(nodes, opsets)
    inferred = onnx.shape_inference.infer_shapes(graph, data_prop=True)
    known = {info.name: _bytes(info.type) for info in inferred.graph.output}
    sizes: dict[ir.Node, int] = {}
    for number, node in enumerate(nodes):
        each = [known.get(_name(number, index)) for index, value in enumerate(node.outputs) if value.name]
        if all(size is not None for size in each):
            sizes[node] = sum(size or 0 for size in each)
        elif node.op_type in _BOUNDED:
            sizes[node] = 8 * sum(tensor.nbytes for tensor in map(constant, node.inputs) if tensor is not None)
    return sizes


def evaluate(nodes: Sequence[ir.Node], opsets: Mapping[str, int]) -> dict[ir.Node, list[NDArray[Any] | None]]:
    """Returns node → its results (None for an output that is left out); nodes that cannot run are absent."""
    if not nodes:
        return {}
    try:
        return _run(nodes, opsets)
    except Exception:  # noqa: BLE001  # onnxruntime's exceptions share no other base
        if len(nodes) == 1:
            return {}
    return {node: found for each in nodes for node, found in evaluate([each], opsets).items()}


def _run(nodes: Sequence[ir.Node], opsets: Mapping[str, int]) -> dict[ir.Node, list[NDArray[Any] | None]]:
    import onnxruntime

    graph = _graph(nodes, opsets)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    fed = {f"v{id(value)}": tensor.numpy() for value, tensor in _operands(nodes).items() if not _is_inline(tensor)}
    names = [value.name for value in session.get_outputs()]
    found = dict(zip(names, session.run(names, fed), strict=True))
    return {
        node: [found.get(_name(number, index)) for index in range(len(node.outputs))]
        for number, node in enumerate(nodes)
    }


def _graph(nodes: Sequence[ir.Node], opsets: Mapping[str, int]) -> onnx.ModelProto:
    """Returns a model with nothing but these nodes, side by side."""
    import onnx
    import onnx_ir as ir

    protos, outputs = [], []
    for number, node in enumerate(nodes):
        proto = ir.serde.serialize_node(node)
        proto.ClearField("metadata_props")
        proto.input[:] = [f"v{id(value)}" if value is not None else "" for value in node.inputs]
        proto.output[:] = [_name(number, index) if value.name else "" for index, value in enumerate(node.outputs)]
        protos.append(proto)
        outputs += [onnx.ValueInfoProto(name=name) for name in proto.output if name]
    inputs, weights = [], []
    for value, tensor in _operands(nodes).items():
        name = f"v{id(value)}"
        if _is_inline(tensor):
            weight = ir.serde.serialize_tensor(tensor)
            weight.name = name
            weights.append(weight)
        else:
            inputs.append(onnx.helper.make_tensor_value_info(name, tensor.dtype, tensor.shape.numpy()))
    graph = onnx.helper.make_graph(protos, "constants", inputs, outputs, weights)
    imports = [onnx.helper.make_opsetid(domain, version) for domain, version in opsets.items()]
    return onnx.helper.make_model(graph, opset_imports=imports, ir_version=10)


def _operands(nodes: Sequence[ir.Node]) -> dict[ir.Value, ir.TensorProtocol]:
    found = {value: constant(value) for node in nodes for value in node.inputs if value is not None}
    return {value: tensor for value, tensor in found.items() if tensor is not None}


def _is_inline(tensor: ir.TensorProtocol) -> bool:
    import onnx_ir as ir

    return tensor.nbytes <= _INLINE and not isinstance(tensor, ir.ExternalTensor)


def _name(number: int, index: int) -> str:
    return f"n{number}_{index}"


def _bytes(kind: onnx.TypeProto) -> int | None:
    import math

    import onnx_ir as ir

    shape = kind.tensor_type.shape
    if not kind.HasField("tensor_type") or not kind.tensor_type.HasField("shape") or not kind.tensor_type.elem_type:
        return None
    dtype = ir.DataType(kind.tensor_type.elem_type)
    if dtype.name in _UNSUITABLE or any(not axis.HasField("dim_value") for axis in shape.dim):
        return None
    size: int = math.prod(int(axis.dim_value) for axis in shape.dim)
    return math.ceil(size * dtype.itemsize)
