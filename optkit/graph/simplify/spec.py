"""Checks that a graph is still what the ONNX specification calls valid."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx_ir as ir


def spec_violation(model: ir.Model) -> str:
    """Returns how the graph breaks the specification, in one line; empty if it does not.

    Looked at: nodes are sorted, each name is given once, every input is made somewhere, operators have the attributes
    and the number of inputs that their schemas ask for. Weights are not copied.
    """
    import onnx
    from onnx_ir.passes.common import CheckerPass

    inconsistent = next(filter(None, map(_inconsistency, model.graphs())), "")
    if inconsistent:
        return inconsistent
    try:
        CheckerPass()(model)
    except (onnx.checker.ValidationError, ValueError, TypeError) as error:
        return (str(error).strip().splitlines() or [type(error).__name__])[0]
    return ""


def _inconsistency(graph: ir.Graph) -> str:
    """Returns what the file would not show, because it refers to values by name."""
    for node in graph:
        for value in node.inputs:
            producer = value.producer() if value is not None else None
            if producer is not None and producer.graph is None:
                return (
                    f"node {node.name!r} reads {value.name!r} of a node that was removed" if value is not None else ""
                )
    return next(
        (
            f"the weight {name!r} is called {value.name!r}"
            for name, value in graph.initializers.items()
            if value.name != name
        ),
        "",
    )
