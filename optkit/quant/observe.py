"""Streams calibration data through a graph and watches the tensors that will be quantized.

Memory grows with tensors times bins, never with samples; batches may differ in shape.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from optkit.core.errors import StepFailed, UsageError
from optkit.core.messages import short_message
from optkit.graph.bulk import without_collection
from optkit.graph.expose import expose
from optkit.graph.save import save_model
from optkit.graph.session import open_graph
from optkit.quant.histogram import Histogram

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    import onnx_ir as ir
    from numpy.typing import NDArray

BUDGET = 256 << 20
"""Bytes of activations held at once; above it, the outputs of a batch are fetched in groups, by running it again."""


class Watcher(Protocol):
    """What takes note of a tensor's values."""

    def add(self, values: NDArray[Any], /) -> None:
        """Adds float values of any shape.

        Raises:
            ValueError: A value is NaN or infinite.
        """
        ...


def observe(
    model: ir.Model,
    names: Sequence[str],
    feeds: Iterable[Mapping[str, NDArray[Any]]],
    scratch: Path,
    *,
    mask: str | None = None,
) -> dict[str, Histogram]:
    """Runs each feed and returns a histogram per tensor; tensors that are not floats are left out.

    Takes the arguments of `watch`, with the names of the tensors to watch, and raises what it raises.
    """
    histograms = {name: Histogram() for name in names}
    watched = watch(model, {name: [histogram] for name, histogram in histograms.items()}, feeds, scratch, mask=mask)
    return {name: histograms[name] for name in names if name in watched}


def watch(
    model: ir.Model,
    watchers: Mapping[str, Sequence[Watcher]],
    feeds: Iterable[Mapping[str, NDArray[Any]]],
    scratch: Path,
    *,
    mask: str | None = None,
) -> set[str]:
    """Runs each feed and shows every tensor to its watchers; returns the tensors that are floats, and had values.

    Args:
        model: The graph; it is not changed.
        watchers: Tensor → who watches it.
        feeds: Input name → array, one mapping per run.
        scratch: An empty folder for the graph with the tensors as extra outputs.
        mask: The input, of shape (batch, positions), that is 0 where a position is padding. Such positions are left out
            of tensors of shape (batch, positions, …) and (batch · positions, …).

    Raises:
        UsageError: A tensor holds NaN or infinity, it is named; or there is no such mask.
        StepFailed: The graph does not run.
    """
    fetch = Fetcher.opened(model, list(watchers), scratch)
    inputs = fetch.inputs
    if mask is not None and mask not in inputs:
        raise UsageError(f"mask: the model has no input {mask!r}", hint=f"it takes {', '.join(sorted(inputs))}")
    masked = _maskable(model, mask, watchers)
    seen: set[str] = set()
    for feed in feeds:
        given = {name: array for name, array in feed.items() if name in inputs}
        arrays = {name: array for name, array in given.items() if name in watchers and array.dtype.kind == "f"}
        for name, array in (*arrays.items(), *fetch(given)):
            shown = _unmasked(array, given[mask]) if mask is not None and name in masked else array
            _show(watchers[name], name, shown)
            if shown.size:  # a tensor in a branch that was not taken is empty
                seen.add(name)
    return seen


class Fetcher:
    """Runs a batch as often as it takes for the wanted tensors to fit the budget.

    Attributes:
        inputs: What the graph takes.
        names: The tensors that it gives, of those wanted: floats that can be had.
    """

    def __init__(self, session: Any, names: Sequence[str]) -> None:  # noqa: ANN401  # onnxruntime ships no types
        self._session, self.names = session, names
        self.inputs = {info.name for info in session.get_inputs()}
        self._growth: dict[str, float] = {}

    @classmethod
    def opened(
        cls, model: ir.Model, names: Sequence[str], scratch: Path, kinds: frozenset[str] = frozenset({"tensor(float)"})
    ) -> Fetcher:
        """Opens a copy of the graph that gives the tensors.

        Args:
            model: The graph; it is not changed.
            names: What is wanted.
            scratch: An empty folder for the copy.
            kinds: Types to give, as ONNX Runtime names them.

        Raises:
            StepFailed: ONNX Runtime refuses the graph.
        """
        session = open_graph(_with_outputs(model, names, scratch), optimize=False)
        wanted = set(names)
        return cls(session, [info.name for info in session.get_outputs() if info.type in kinds and info.name in wanted])

    def __call__(self, given: Mapping[str, NDArray[Any]]) -> Iterator[tuple[str, NDArray[Any]]]:
        """Yields each tensor, one at a time."""
        for group in self.groups(given, [name for name in self.names if name not in given]):
            while group:
                yield group.popitem()

    def groups(self, given: Mapping[str, NDArray[Any]], names: Sequence[str]) -> Iterator[dict[str, NDArray[Any]]]:
        """Yields the named tensors in order, as many at a time as the budget allows."""
        size = sum(array.nbytes for array in given.values()) or 1
        pending = names
        while pending:
            group = self._next(pending, size)
            pending = pending[len(group) :]
            arrays = self.read(given, group)
            for name, array in arrays.items():
                self._growth[name] = max(self._growth.get(name, 0.0), array.nbytes / size)
            yield arrays

    def read(self, given: Mapping[str, NDArray[Any]], names: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Returns the named tensors of one run.

        Raises:
            StepFailed: The graph does not run on these inputs.
        """
        if not names:  # ONNX Runtime takes that for all of them
            return {}
        feed = {name: array for name, array in given.items() if name in self.inputs}
        try:
            return dict(zip(names, self._session.run(list(names), feed), strict=True))
        except Exception as error:  # noqa: BLE001  # onnxruntime's exceptions share no other base
            raise StepFailed(f"the graph does not run: {short_message(error)}") from None

    def _next(self, pending: Sequence[str], size: int) -> list[str]:
        """Returns the first names that fit; a tensor not seen yet counts as much as the largest that was."""
        largest = max(self._growth.values(), default=float("inf"))
        group, used = [pending[0]], self._growth.get(pending[0], largest) * size
        for name in pending[1:]:
            used += self._growth.get(name, largest) * size
            if used > BUDGET:
                break
            group.append(name)
        return group


@without_collection()
def _with_outputs(model: ir.Model, names: Sequence[str], folder: Path) -> Path:
    augmented = model.clone()
    graph = augmented.graph
    present = {value.name for value in (*graph.inputs, *graph.outputs)}
    graph.outputs.extend(expose(augmented, (name for name in names if name not in present)).values())
    return save_model(augmented, folder, inline_limit=0)  # weights go to disk one by one, and are mapped from there


def _maskable(model: ir.Model, mask: str | None, names: Iterable[str]) -> set[str]:
    """Returns the tensors that may hold positions: not those whose second axis is fixed, unlike the mask's."""
    if mask is None:
        return set()
    values = {value.name: value for value in model.graph.inputs}
    values |= {value.name: value for node in model.graph for value in node.outputs}
    positions = _axis(values[mask], 1)
    return {
        name
        for name in names
        if (axis := _axis(values[name], 1)) is None
        or len(values[name].shape or ()) == 2  # noqa: PLR2004  # batch and positions may be flattened into one axis
        or axis == positions
        or not isinstance(axis, int)
    }


def _axis(value: ir.Value, axis: int) -> int | str | None:
    if value.shape is None or len(value.shape) <= axis:
        return None
    size = value.shape[axis]
    return size if isinstance(size, int) else size.value


def _unmasked(array: NDArray[Any], mask: NDArray[Any]) -> NDArray[Any]:
    """Returns the rows of the positions that the mask keeps, or all where the array has no such positions."""
    kept: NDArray[Any] = mask != 0
    if array.ndim > kept.ndim and array.shape[: kept.ndim] == kept.shape:
        array = array[kept]
    elif array.ndim > 1 and kept.size > len(kept) and len(array) == kept.size:
        array = array[kept.ravel()]
    return array


def _show(watchers: Sequence[Watcher], name: str, array: NDArray[Any]) -> None:
    try:
        for watcher in watchers:
            watcher.add(array)
    except ValueError:
        raise UsageError(
            f"tensor {name} holds NaN or infinity on the calibration data",
            hint="quantization cannot represent that; check the data, or the model's arithmetic at that tensor",
        ) from None
