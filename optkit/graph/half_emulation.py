"""Half precision, seen on any machine: float32 arithmetic whose every result is rounded.

A runtime without half-precision kernels computes whole chains of nodes in float32 and rounds at their ends only; what
overflows elsewhere would go unseen. (ONNX Runtime on CPUs has few float16 kernels and no bfloat16 ones.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from optkit.graph.cast_half import as_type
from optkit.graph.walk import initializers

if TYPE_CHECKING:
    import onnx_ir as ir


def emulated(model: ir.Model) -> ir.Model:
    """Returns a float32 graph that computes what the half-precision `model` does; its inputs and outputs are float32.

    It must not be optimised: a runtime may take a cast there and back for nothing.
    """
    import onnx_ir as ir

    copy = model.clone()
    for value, tensor in list(initializers(copy)):
        if _is_half(value):
            value.const_value = as_type(tensor, ir.DataType.FLOAT, value.name or "")
            value.type = ir.TensorType(ir.DataType.FLOAT)
    for node in list(copy.graph.all_nodes()):
        for value in node.outputs:
            if _is_half(value):
                _round(value, node)
    for value in copy.graph.inputs:
        if _is_half(value):
            _round(value, None)
    return copy


def _is_half(value: ir.Value) -> bool:
    return value.dtype is not None and value.dtype.name in {"FLOAT16", "BFLOAT16"}


def _round(value: ir.Value, node: ir.Node | None) -> None:
    """Casts a value to its own precision and back, and makes its readers take the result."""
    import onnx_ir as ir

    kind = value.dtype or ir.DataType.FLOAT16
    value.type = ir.TensorType(ir.DataType.FLOAT)
    down = ir.node("Cast", [value], {"to": int(kind)}, name=f"{value.name}_down")
    up = ir.node("Cast", [down.outputs[0]], {"to": int(ir.DataType.FLOAT)}, name=f"{value.name}_up")
    if node is not None and node.op_type == "Cast":
        node.attributes["to"] = ir.AttrInt64("to", ir.DataType.FLOAT)
    result, name = up.outputs[0], value.name
    result.shape, result.type = value.shape, value.type
    is_output = value.is_graph_output()
    value.replace_all_uses_with(result, replace_graph_outputs=True)
    down.replace_input_with(0, value)
    down.outputs[0].name, result.name = f"{name}_down", f"{name}_up"
    if is_output and node is not None:
        result.name, value.name = name, f"{name}_exact"
    graph = node.graph if node is not None else value.graph
    assert graph is not None  # noqa: S101  # it comes from a graph
    if node is not None:
        graph.insert_after(node, [down, up])
    else:
        graph.insert_before(graph[0], [down, up])
