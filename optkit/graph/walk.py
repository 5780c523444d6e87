"""Walks over everything in a model: subgraphs and functions included."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx_ir as ir

STANDARD = frozenset({"", "ai.onnx"})
"""Names of the domain of ONNX's own operators."""


def is_standard(node: ir.Node, *op_types: str) -> bool:
    """Returns whether a node is one of these operators of ONNX itself."""
    return node.domain in STANDARD and node.op_type in op_types


def nodes(model: ir.Model) -> Iterator[ir.Node]:
    """Yields every node of the graph, its subgraphs and the model's functions."""
    yield from model.graph.all_nodes()
    for function in model.functions.values():
        yield from function.all_nodes()


def initializers(model: ir.Model) -> Iterator[tuple[ir.Value, ir.TensorProtocol]]:
    """Yields every constant weight of every graph."""
    for graph in model.graphs():
        for value in graph.initializers.values():
            if value.const_value is not None:
                yield value, value.const_value


def attribute_tensors(model: ir.Model) -> Iterator[tuple[str, ir.TensorProtocol]]:
    """Yields the tensors among the nodes' attributes, each with words that name it."""
    import onnx_ir as ir

    for node in nodes(model):
        for attribute in node.attributes.values():
            label = f"{attribute.name} of node {node.name or node.op_type}"
            if attribute.is_ref():
                continue
            if attribute.type == ir.AttributeType.TENSOR:
                yield label, attribute.as_tensor()
            elif attribute.type == ir.AttributeType.TENSORS:
                yield from ((label, tensor) for tensor in attribute.as_tensors())


def operator_count(model: ir.Model) -> int:
    """Returns the number of nodes, subgraphs included, constants not."""
    return sum(node.op_type != "Constant" for node in model.graph.all_nodes())
