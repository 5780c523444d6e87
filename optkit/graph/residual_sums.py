"""Keeps ONNX Runtime from fusing a residual sum with the normalisation behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optkit.graph.walk import is_standard

if TYPE_CHECKING:
    import onnx_ir as ir


def part_residual_sums(model: ir.Model) -> list[str]:
    """Replaces each Add that a LayerNormalization reads by Sum, in place; returns their names.

    The two compute the same, but ONNX Runtime turns Add and LayerNormalization into SkipLayerNormalization, whose CPU
    kernel takes several times as long as both.
    """
    norms = [node for node in model.graph.all_nodes() if is_standard(node, "LayerNormalization")]
    readers = [node for node in norms if node.inputs and node.inputs[0] is not None]
    sums = dict.fromkeys(node.inputs[0].producer() for node in readers if node.inputs[0] is not None)
    found = [node for node in sums if node is not None and is_standard(node, "Add")]
    for node in found:
        _replace(node)
    return [node.name or "" for node in found]


def _replace(node: ir.Node) -> None:
    import onnx_ir as ir
    from onnx_ir import convenience

    graph, old = node.graph, node.outputs[0]
    if not isinstance(graph, ir.Graph):
        return
    made = ir.node("Sum", node.inputs, name=node.name, metadata_props=dict(node.metadata_props))
    new = made.outputs[0]
    new.name, new.type, new.shape = old.name, old.type, old.shape
    convenience.replace_nodes_and_values(graph, node, [node], [made], [old], [new])
