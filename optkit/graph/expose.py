"""Carries tensors out of the bodies of If and Loop, so that they can be watched."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    import onnx_ir as ir

    Owners = dict[ir.Graph, ir.Node]


def expose(model: ir.Model, names: Iterable[str]) -> dict[str, ir.Value]:
    """Returns name → a tensor of the main graph with that name, for all that can be had; the graph is changed for it.

    A tensor in a branch that was not taken comes out empty. Those of a Loop come out stacked, one per iteration; one
    whose shape may differ between iterations is left out, and so is one in the body of another operator.
    """
    owners = _owners(model)
    values = {value.name: value for graph in model.graphs() for node in graph for value in node.outputs}
    values |= {value.name: value for graph in owners for value in graph.inputs}
    known = _known_axes(model)
    found = {}
    for name in names:
        value = values.get(name)
        if value is None or value.graph is None:
            continue
        if value.graph is model.graph:
            found[name] = value
        elif _can_leave(value, owners, known):
            value.name = f"{name}_inside"
            found[name] = _carried_out(value, name, owners)
    return found


def _owners(model: ir.Model) -> Owners:
    """Returns the body of each If, Loop and the like → its node."""
    import onnx_ir as ir

    owners: Owners = {}
    for node in model.graph.all_nodes():
        for attribute in node.attributes.values():
            if attribute.type == ir.AttributeType.GRAPH:
                owners[attribute.as_graph()] = node
    return owners


def _known_axes(model: ir.Model) -> set[str | None]:
    """Returns the names of the axes that the inputs fix, and that no iteration can change."""
    shapes = [value.shape for value in model.graph.inputs if value.shape is not None]
    return {axis.value for shape in shapes for axis in shape if not isinstance(axis, int)} - {None}


def _can_leave(value: ir.Value, owners: Owners, known: set[str | None]) -> bool:
    graph = value.graph
    while graph in owners:
        owner = owners[graph]
        if owner.op_type not in {"If", "Loop"}:
            return False
        if owner.op_type == "Loop" and not _is_fixed(value, known):
            return False
        graph = owner.graph
    return True


def _is_fixed(value: ir.Value, known: set[str | None]) -> bool:
    return value.shape is not None and all(isinstance(axis, int) or axis.value in known for axis in value.shape)


def _carried_out(value: ir.Value, name: str, owners: Owners) -> ir.Value:
    """Appends an output to the body, and to its node, and so on outwards; returns the outermost, called `name`."""
    depth = 0
    while (graph := value.graph) in owners:
        owner, depth = owners[graph], depth + 1
        for body in [body for body, node in owners.items() if node is owner]:
            result = _appended(body, value if body is graph else None, f"{name}_inside_{depth}_{body.name}")
            result.type = value.type
        owner.resize_outputs(len(owner.outputs) + 1)
        value, inner = owner.outputs[-1], value
        value.name, value.type = f"{name}_outside_{depth}", inner.type
    value.name = name
    return value


def _appended(body: ir.Graph, value: ir.Value | None, name: str) -> ir.Value:
    """Returns a new output of `body`: a copy of `value`, or an empty tensor."""
    import numpy as np
    import onnx_ir as ir

    if value is None:
        node = ir.node("Constant", [], {"value": ir.tensor(np.zeros(0, np.float32))}, name=name)
    else:
        node = ir.node("Identity", [value], name=name)
    node.outputs[0].name = name
    body.append(node)
    body.outputs.append(node.outputs[0])
    return node.outputs[0]
