"""Checks what holds a graph together: names, order, and that everything that is read is made somewhere."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from optkit.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import onnx
    import onnx_ir as ir

_DAMAGED = "export it again; `onnx.checker.check_model` says what else is wrong"


def check_names(proto: onnx.ModelProto, path: Path) -> None:
    """Checks what reading the graph would hide: names that are given twice, and sparse weights.

    Raises:
        UsageError: Names the weight or the input.
    """
    for graph in _graphs(proto.graph):
        for kind, found in (("weights", graph.initializer), ("inputs", graph.input)):
            twice = [name for name, count in Counter(each.name for each in found).items() if count > 1]
            if twice:
                raise UsageError(f"{path.name}: two {kind} are called {twice[0]!r}", hint=_DAMAGED)
        if graph.sparse_initializer:
            name = graph.sparse_initializer[0].values.name
            raise UsageError(f"{path.name}: the weight {name!r} is stored sparse", hint="store it as a dense tensor")


def check_structure(model: ir.Model, path: Path) -> None:
    """Checks that every value is made somewhere, and sorts the nodes, in place.

    Raises:
        UsageError: Names the node that reads what nobody makes, or that waits for itself; or the function that calls
            itself.
    """
    for node in model.graph.all_nodes():
        nowhere = next((value for value in node.inputs if value is not None and not _is_made(value)), None)
        if nowhere is not None:
            raise UsageError(
                f"{path.name}: node {node.name or node.op_type!r} reads {nowhere.name!r}, which nothing computes",
                hint=_DAMAGED,
            )
    for value in model.graph.outputs:
        if not _is_made(value):
            raise UsageError(f"{path.name}: nothing computes the output {value.name!r}", hint=_DAMAGED)
    try:
        model.graph.sort()
    except ValueError:
        raise UsageError(f"{path.name}: the graph has a cycle: some node waits for itself", hint=_DAMAGED) from None
    _check_calls(model, path)


def open_negative_axes(model: ir.Model) -> None:
    """Makes axes of negative size dynamic, in place: some exporters write -1 for them."""
    import onnx_ir as ir

    ends = [*model.graph.inputs, *model.graph.outputs]
    for value in [*ends, *(value for node in model.graph.all_nodes() for value in node.outputs)]:
        if value.shape is not None and any(isinstance(size, int) and size < 0 for size in value.shape):
            value.shape = ir.Shape([None if isinstance(size, int) and size < 0 else size for size in value.shape])


def _is_made(value: ir.Value) -> bool:
    return value.producer() is not None or value.is_graph_input() or value.is_initializer()


def _check_calls(model: ir.Model, path: Path) -> None:
    """Checks that no function calls itself, directly or through others: none of them would ever end."""
    calls = {
        function.identifier(): {node.op_identifier() for node in function.all_nodes()} & model.functions.keys()
        for function in model.functions.values()
    }
    while calls:
        done = [each for each, called in calls.items() if not called & calls.keys()]
        if not done:
            domain, name, _ = next(iter(calls))
            raise UsageError(f"{path.name}: the function {domain}::{name} calls itself", hint=_DAMAGED)
        for each in done:
            del calls[each]


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (*((attribute.g,) if attribute.HasField("g") else ()), *attribute.graphs):
                yield from _graphs(inner)
