"""Runs a graph and hands out its inner tensors."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from optkit.graph.save import save_model
from optkit.graph.session import open_graph

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    import onnx_ir as ir
    from numpy.typing import NDArray

BUDGET = 256 << 20
"""Bytes of inner tensors that are held at once; above it a batch runs again for the next group of them."""
_UNKNOWN = BUDGET // 16
"""Assumed of a tensor that was not seen yet."""


@dataclass(slots=True)
class Tap:
    """An open graph with inner tensors as further outputs.

    Attributes:
        session: The ONNX Runtime session.
        types: Tensor → its ONNX type, such as `tensor(float)`, for the tensors that are watched.
    """

    session: Any
    types: dict[str, str]
    _bytes: dict[str, int] = field(default_factory=dict)

    def run(
        self, feed: Mapping[str, NDArray[Any]], names: Iterable[str] | None = None
    ) -> Iterator[tuple[str, NDArray[Any]]]:
        """Yields tensors and their values for these inputs; inputs of the graph are yielded as they are.

        Args:
            feed: Input → array; what the graph does not take is left out.
            names: Some of the watched tensors; all by default.
        """
        inputs = {info.name for info in self.session.get_inputs()}
        given = {name: array for name, array in feed.items() if name in inputs}
        wanted = list(self.types if names is None else names)
        yield from ((name, given[name]) for name in wanted if name in given)
        for group in self._grouped([name for name in wanted if name not in inputs]):
            arrays = self.session.run(group, given)
            self._bytes |= {name: array.nbytes for name, array in zip(group, arrays, strict=True)}
            yield from zip(group, arrays, strict=True)

    def _grouped(self, names: list[str]) -> Iterator[list[str]]:
        """Yields the names in groups whose tensors, as large as the last time, fit the budget."""
        group: list[str] = []
        used = 0
        for name in names:
            size = self._bytes.get(name, _UNKNOWN)
            if group and used + size > BUDGET:
                yield group
                group, used = [], 0
            group.append(name)
            used += size
        if group:
            yield group


def open_tap(model: ir.Model, names: Iterable[str], folder: Path) -> Tap:
    """Opens the graph, as it is and not optimised, so that the tensors `names` can be read.

    Args:
        model: The graph; it is not changed.
        names: Inputs, outputs and inner tensors of the main graph; others are left out.
        folder: Receives a copy of the graph.

    Raises:
        StepFailed: ONNX Runtime refuses the graph.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tapped = model.clone()
    graph = tapped.graph
    ends = {value.name for value in (*graph.inputs, *graph.outputs)}
    inner = {value.name: value for node in graph for value in node.outputs}
    wanted = [name for name in dict.fromkeys(names) if name in ends or name in inner]
    graph.outputs.extend(inner[name] for name in wanted if name not in ends)
    session = open_graph(save_model(tapped, folder), optimize=False)
    types = {info.name: info.type for info in (*session.get_inputs(), *session.get_outputs())}
    return Tap(session, {name: types[name] for name in wanted})
