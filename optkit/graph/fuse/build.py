"""Adds nodes and constants to a graph; whoever uses it sorts the graph and names what is new afterwards."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import onnx_ir as ir
    from numpy.typing import ArrayLike


class Builder:
    """Appends to a graph.

    Args:
        graph: The graph.
    """

    def __init__(self, graph: ir.Graph) -> None:
        self._graph = graph
        self._names: set[str | None] = {*graph.initializers, *(value.name for node in graph for value in node.outputs)}
        self._constants: dict[tuple[str, bytes, tuple[int, ...]], ir.Value] = {}

    def node(
        self,
        operator: str,
        inputs: Sequence[ir.Value | None],
        attributes: Mapping[str, Any] | None = None,
        *,
        like: ir.Node,
        domain: str = "",
    ) -> ir.Value:
        """Returns the first output of a new node, whose place in the user's model is that of `like`."""
        import onnx_ir as ir

        made = ir.node(operator, inputs, attributes, domain=domain, metadata_props=dict(like.metadata_props))
        self._graph.append(made)
        return made.outputs[0]

    def constant(self, values: ArrayLike, dtype: str | None = None) -> ir.Value:
        """Returns an initializer; equal ones are one."""
        import numpy as np
        import onnx_ir as ir

        array = np.array(values, dtype)
        key = (array.dtype.str, array.tobytes(), array.shape)
        if key not in self._constants:
            name = self._free_name()
            value = ir.val(name, const_value=ir.tensor(array, name=name))
            self._graph.register_initializer(value)
            self._constants[key] = value
        return self._constants[key]

    def _free_name(self) -> str:
        name = next(name for number in itertools.count() if (name := f"constant_{number}") not in self._names)
        self._names.add(name)
        return name


def take_over(old: ir.Value, new: ir.Value) -> None:
    """Lets whoever reads `old` read `new`, which gets its name if the graph returns it."""
    new.shape, new.type = old.shape, old.type
    graph = old.graph
    if old.is_graph_output() and graph is not None:
        new.name, old.name = old.name, None
        graph.outputs[:] = [new if output is old else output for output in graph.outputs]
    old.replace_all_uses_with(new)
