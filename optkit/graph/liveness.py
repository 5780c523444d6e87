"""How much memory activations take at once, node by node in the order in which they run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import onnx_ir as ir

_VIEWS = frozenset({"Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"})
"""Their result is their input's memory."""


def peak_bytes(
    graph: ir.Graph, sizes: Mapping[ir.Value, int], inner: Mapping[ir.Node, int], *, held: bool = False
) -> int:
    """Returns the most bytes that are alive at once.

    A tensor lives from the node that makes it to the last one that reads it; while a node runs, its inputs and outputs
    both live. Nothing is computed in place, and views share their input's memory.

    Args:
        graph: The graph or body, in topological order.
        sizes: Activation → bytes.
        inner: Node with a body → peak within the body.
        held: Whether the graph's inputs live to the end.
    """
    order = list(graph)
    roots = _roots(order)
    last = _last_uses(graph, order, roots, held=held)
    dying: dict[int, int] = {}
    for value, index in last.items():
        if value in sizes:
            dying[index] = dying.get(index, 0) + sizes[value]
    alive = sum(sizes.get(value, 0) for value in graph.inputs)
    peak = alive
    for index, node in enumerate(order):
        alive += sum(sizes.get(value, 0) for value in node.outputs if roots.get(value, value) is value)
        peak = max(peak, alive + inner.get(node, 0))
        alive -= dying.get(index, 0)
    return peak


def _roots(order: list[ir.Node]) -> dict[ir.Value, ir.Value]:
    """Returns view → the tensor whose memory it is."""
    roots: dict[ir.Value, ir.Value] = {}
    for node in order:
        if node.op_type in _VIEWS and node.inputs and node.inputs[0] is not None:
            roots[node.outputs[0]] = roots.get(node.inputs[0], node.inputs[0])
    return roots


def _last_uses(
    graph: ir.Graph, order: list[ir.Node], roots: Mapping[ir.Value, ir.Value], *, held: bool
) -> dict[ir.Value, int]:
    """Returns tensor → index of the node after which it is free; what nobody reads is free at once."""
    last: dict[ir.Value, int] = dict.fromkeys(graph.inputs, 0)
    for index, node in enumerate(order):
        last |= {value: index for value in node.outputs if roots.get(value, value) is value}
        for value in _reads(node):
            last[roots.get(value, value)] = index
    kept = [roots.get(value, value) for value in graph.outputs] + (list(graph.inputs) if held else [])
    for value in kept:
        last.pop(value, None)
    return last


def _reads(node: ir.Node) -> Iterator[ir.Value]:
    """Yields what a node reads, and what its bodies read from outside."""
    import onnx_ir as ir

    yield from (value for value in node.inputs if value is not None)
    for attribute in node.attributes.values():
        if attribute.is_ref() or attribute.type != ir.AttributeType.GRAPH:
            continue
        body = attribute.as_graph()
        yield from body.outputs
        for each in body:
            yield from _reads(each)
