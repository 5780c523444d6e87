"""Joins a Transpose with the one before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optkit.graph.walk import is_standard

if TYPE_CHECKING:
    import onnx_ir as ir


def join_transposes(model: ir.Model) -> None:
    """Lets the second Transpose of a pair do the work of both, in place; whether the first one goes is up to its users.

    Two that undo each other become one that keeps the order.
    """
    import onnx_ir as ir

    for node in model.graph.all_nodes():
        if not is_standard(node, "Transpose") or node.inputs[0] is None:
            continue
        before = node.inputs[0].producer()
        if before is None or not is_standard(before, "Transpose") or before.inputs[0] is None:
            continue
        first, second = _order(before), _order(node)
        if first is None or second is None:
            continue
        node.attributes["perm"] = ir.AttrInt64s("perm", [first[axis] for axis in second])
        node.replace_input_with(0, before.inputs[0])


def _order(node: ir.Node) -> list[int] | None:
    """Returns the order of axes; reversed by default, for which the rank must be known."""
    if "perm" in node.attributes:
        return list(node.attributes.get_ints("perm", ()))
    shape = node.inputs[0].shape if node.inputs[0] is not None else None
    return None if shape is None else list(range(len(shape)))[::-1]
