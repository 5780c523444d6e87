"""Lets the users of one value read another instead, and drops the node that is no longer needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir


def redirect(node: ir.Node, sources: Sequence[ir.Value | None]) -> bool:
    """Replaces each output of `node` by the value in `sources` that is equal to it, and removes the node.

    An output without a source must have no users. Where an output of the graph is replaced, the source takes over its
    name; that is impossible if the source is made elsewhere, or is an output itself.

    Returns:
        Whether it was done; otherwise nothing was changed.
    """
    from onnx_ir import convenience

    pairs = list(zip(node.outputs, sources, strict=True))
    if node.graph is None or not all(_can_replace(node, old, new) for old, new in pairs):
        return False
    for old, new in pairs:
        if new is None:
            continue
        is_end = old.is_graph_output()
        name, kind, shape = old.name, old.type, old.shape
        convenience.replace_all_uses_with(old, new, replace_graph_outputs=True)
        if is_end:
            old.name = None
            new.name, new.type, new.shape = name, kind, shape
    node.graph.remove(node, safe=True)
    return True


def _can_replace(node: ir.Node, old: ir.Value, new: ir.Value | None) -> bool:
    if new is None:
        return not old.uses() and not old.is_graph_output()
    if not old.is_graph_output():
        return True
    producer = new.producer()
    return producer is not None and producer.graph is node.graph and not new.is_graph_output()
