"""Computes ahead what depends on constants only, as long as the result is worth its bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from optkit.graph.simplify.constants import constant, new_constant
from optkit.graph.simplify.evaluation import evaluate, result_sizes
from optkit.graph.simplify.randomness import is_random

if TYPE_CHECKING:
    import onnx_ir as ir
    from numpy.typing import NDArray

_MOVED = 1 << 29
"""Bytes of results above the limit that are stored all the same, because they take the place of as many others."""
# Their operators say how a weight is quantized: computing them ahead would store it in float again.
_KEPT = frozenset({"DequantizeLinear", "QuantizeLinear", "DynamicQuantizeLinear"})


def fold_constants(model: ir.Model, limit: int) -> None:
    """Replaces nodes whose inputs are constants by their results, in place, until none is left.

    Args:
        model: The graph.
        limit: Largest result to store, in bytes. Larger ones are stored if they replace what is as large, such as the
            transposed weight the weight.
    """
    moved = 0
    refused: set[ir.Node] = set()
    while nodes := [node for node in model.graph.all_nodes() if node not in refused and _is_foldable(node)]:
        sizes = result_sizes(nodes, model.opset_imports)
        chosen = []
        for node in nodes:
            size = sizes.get(node)
            freed = 0 if size is None or size <= limit else size
            if size is None or (freed and (size > _freed(node) or moved + freed > _MOVED)):
                refused.add(node)
                continue
            moved += freed
            chosen.append(node)
        results = evaluate(chosen, model.opset_imports)
        for node in chosen:
            if node not in results or not _replace(node, results[node]):
                refused.add(node)


def _is_foldable(node: ir.Node) -> bool:
    import onnx_ir as ir

    if node.op_type in _KEPT or node.op_type == "Constant" or is_random(node):
        return False
    if any(
        attribute.type in {ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS} for attribute in node.attributes.values()
    ):
        return False
    if any(value.is_graph_output() for value in node.outputs):
        return False
    return all(value is None or constant(value) is not None for value in node.inputs)


def _freed(node: ir.Node) -> int:
    """Returns the bytes of constants that nothing else uses."""
    tensors = [constant(value) for value in set(node.inputs) if value is not None and len(value.uses()) == 1]
    return sum(tensor.nbytes for tensor in tensors if tensor is not None)


def _replace(node: ir.Node, results: list[NDArray[Any] | None]) -> bool:
    graph = node.graph
    if graph is None or any(
        result is None and value.uses() for value, result in zip(node.outputs, results, strict=True)
    ):
        return False
    for value, result in zip(node.outputs, results, strict=True):
        if result is not None and value.uses():
            value.replace_all_uses_with(new_constant(node, result, f"{value.name}_folded"))
    graph.remove(node, safe=True)
    return True
