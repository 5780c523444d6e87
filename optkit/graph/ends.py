"""Names and order of a graph's inputs and outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir


def set_ends(model: ir.Model, inputs: Sequence[str], outputs: Sequence[str]) -> str:
    """Names and orders the graph's inputs and outputs, in place; returns why it cannot, or nothing.

    Inputs that already have the wanted names are put in order; otherwise names go by position.
    """
    import onnx_ir.passes.common as passes

    graph = model.graph
    found = [value.name for value in graph.inputs]
    # An output that is an input, or is given twice, cannot carry a name of its own. The pass may rename inputs.
    passes.OutputFixPass()(model)
    if len(found) != len(inputs):
        return f"the graph takes {len(found)} inputs ({', '.join(map(str, found))}), not {', '.join(inputs)}"
    if len(graph.outputs) != len(outputs):
        return f"the graph returns {len(graph.outputs)} outputs, not {len(outputs)}"
    if set(found) == set(inputs):
        by_name = dict(zip(found, graph.inputs, strict=True))
        graph.inputs[:] = [by_name[name] for name in inputs]
    _free(model, {*inputs, *outputs})
    for value, name in zip((*graph.inputs, *graph.outputs), (*inputs, *outputs), strict=True):
        value.name = name
    passes.NameFixPass()(model)
    return ""


def _free(model: ir.Model, names: set[str]) -> None:
    """Moves inner values off the names that the ends shall carry."""
    for node in model.graph.all_nodes():
        for value in node.outputs:
            if value.name in names:
                value.name = f"{value.name}_inner"
