"""What is known about values before the model runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import onnx_ir as ir
    from numpy.typing import NDArray

_SMALL = 1 << 16


def constant(value: ir.Value | None) -> ir.TensorProtocol | None:
    """Returns the tensor that a value always holds: an initializer that no caller can override, else None."""
    if value is None or value.is_graph_input() or not value.is_initializer():
        return None
    return value.const_value


def array(value: ir.Value | None) -> NDArray[Any] | None:
    """Returns a small constant of numbers as an array; None for anything else."""
    tensor = constant(value)
    if tensor is None or tensor.size > _SMALL or tensor.dtype.name == "STRING":
        return None
    result: NDArray[Any] = tensor.numpy()
    return result


def ints(node: ir.Node, index: int) -> list[int] | None:
    """Returns a constant input of integers as a list; None if it is absent or not constant."""
    found = array(node.inputs[index]) if index < len(node.inputs) else None
    return None if found is None or found.dtype.kind not in "iu" else [int(each) for each in found.ravel()]


def new_constant(node: ir.Node, content: NDArray[Any], name: str) -> ir.Value:
    """Returns a new initializer of the graph that holds `node`, with a name that is free there."""
    import onnx_ir as ir

    graph = node.graph
    if not isinstance(graph, ir.Graph):
        raise TypeError(f"{node.name} is in no graph")
    free, count = name, 0
    while free in graph.initializers:
        count += 1
        free = f"{name}_{count}"
    value = ir.val(free, const_value=ir.tensor(content, name=free))
    graph.register_initializer(value)
    return value
