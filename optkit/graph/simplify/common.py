"""Merges nodes that compute the same from the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optkit.graph.simplify.randomness import is_random
from optkit.graph.simplify.redirect import redirect

if TYPE_CHECKING:
    from collections.abc import Hashable

    import onnx_ir as ir

_LARGEST = 1 << 12
"""Bytes up to which a tensor among the attributes is compared."""


def merge_common(model: ir.Model) -> None:
    """Lets the first of equal nodes of a graph stand for all of them, in place.

    Attributes are equal if their bits are: -0.0 is not 0.0. Nodes with subgraphs, and random ones, are left alone.
    """
    for graph in model.graphs():
        seen: dict[Hashable, ir.Node] = {}
        for node in list(graph):
            key = _key(node)
            first = node if key is None else seen.setdefault(key, node)
            if first is not node:
                redirect(node, first.outputs)


def _key(node: ir.Node) -> Hashable | None:
    """Returns what nodes have in common that compute the same; None if the node must stand for itself."""
    if is_random(node):
        return None
    attributes = []
    for name, attribute in sorted(node.attributes.items()):
        content = _content(attribute)
        if content is None:
            return None
        attributes.append((name, content))
    outputs = tuple(bool(value.name) for value in node.outputs)
    return node.op_identifier(), tuple(map(id, node.inputs)), outputs, tuple(attributes)


def _content(attribute: ir.Attr) -> Hashable | None:
    import onnx_ir as ir

    if attribute.is_ref():
        return None
    kinds = ir.AttributeType
    if attribute.type == kinds.TENSOR:
        tensor = attribute.as_tensor()
        if tensor.nbytes > _LARGEST or tensor.dtype == ir.DataType.STRING:
            return None
        return (tensor.dtype, tuple(tensor.shape.numpy()), tensor.tobytes())
    if attribute.type in {kinds.INT, kinds.INTS, kinds.FLOAT, kinds.FLOATS, kinds.STRING, kinds.STRINGS}:
        return (attribute.type, repr(attribute.value))
    return None
