"""Joins a Reshape with what only changed the shape before it, and drops pairs of Squeeze and Unsqueeze."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optkit.graph.simplify.constants import ints
from optkit.graph.simplify.redirect import redirect
from optkit.graph.walk import is_standard

if TYPE_CHECKING:
    import onnx_ir as ir

_OPPOSITE = {"Squeeze": "Unsqueeze", "Unsqueeze": "Squeeze"}


def join_reshapes(model: ir.Model) -> None:
    """Lets the second of two nodes that change nothing but the shape do the work of both, in place."""
    for node in list(model.graph.all_nodes()):
        before = _maker(node)
        if is_standard(node, "Reshape") and _is_absolute(node):
            while before is not None and is_standard(before, *_SHAPES_ONLY):
                node.replace_input_with(0, before.inputs[0])
                before = _maker(node)
        elif before is not None and _undoes(node, before):
            redirect(node, before.inputs[:1])


def _maker(node: ir.Node) -> ir.Node | None:
    """Returns the node that makes the first input."""
    return node.inputs[0].producer() if node.inputs and node.inputs[0] is not None else None


_SHAPES_ONLY = ("Reshape", "Flatten", "Squeeze", "Unsqueeze")


def _is_absolute(node: ir.Node) -> bool:
    """Whether the sizes do not depend on the axes of the input: no 0, which copies one."""
    asked = ints(node, 1)
    return asked is not None and 0 not in asked


def _undoes(node: ir.Node, before: ir.Node) -> bool:
    if not is_standard(node, *_OPPOSITE) or not is_standard(before, _OPPOSITE[node.op_type]):
        return False
    axes = _axes(node)
    return axes is not None and axes == _axes(before)


def _axes(node: ir.Node) -> list[int] | None:
    """Returns the axes of Squeeze or Unsqueeze: both count them in the longer shape."""
    if "axes" in node.attributes:
        return list(node.attributes.get_ints("axes", ()))
    return ints(node, 1)
