"""Streams calibration data through a graph and watches the tensors that will be quantized.

Memory grows with tensors times bins, never with samples; batches may differ in shape.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from optkit.core.errors import UsageError
from optkit.graph.save import save_model
from optkit.graph.session import open_graph
from optkit.quant.histogram import Histogram

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    import onnx_ir as ir
    from numpy.typing import NDArray

    from optkit.quant.profiles import Profile

BUDGET = 512 << 20
"""Bytes of activations held at once; above it, the outputs of a batch are fetched in groups, by running it again."""


def activations(nodes: Sequence[ir.Node], profile: Profile) -> list[str]:
    """Returns the names of the tensors around `nodes` that will carry Q/DQ, in graph order."""
    names: dict[str, None] = {}
    for node in nodes:
        results = () if node.op_type in profile.float_outputs else node.outputs
        for value in (*node.inputs, *results):
            if value is not None and value.const_value is None and value.name:
                names[value.name] = None
    return list(names)


def observe(
    model: ir.Model, names: Sequence[str], feeds: Iterable[Mapping[str, NDArray[Any]]], scratch: Path
) -> dict[str, Histogram]:
    """Runs each feed and returns a histogram per tensor; tensors that are not floats are left out.

    Args:
        model: The graph; it is not changed.
        names: Tensors to watch.
        feeds: Input name → array, one mapping per run.
        scratch: An empty folder for the graph with the tensors as extra outputs.

    Raises:
        UsageError: A tensor holds NaN or infinity; it is named, and so is the node that computes it.
        StepFailed: The graph does not run.
    """
    session = open_graph(_with_outputs(model, names, scratch), optimize=False)
    floats = [info.name for info in session.get_outputs() if info.type == "tensor(float)"]
    inputs = {info.name for info in session.get_inputs()}
    histograms = {name: Histogram() for name in names if name in floats}
    groups: list[list[str]] = []
    for feed in feeds:
        for name in names:
            if name in feed and feed[name].dtype.kind == "f":
                _add(histograms.setdefault(name, Histogram()), name, feed[name])
        given = {name: array for name, array in feed.items() if name in inputs}
        groups = groups or _grouped(
            [name for name in floats if name in histograms and name not in feed], session, given
        )
        for group in groups:
            for name, array in zip(group, session.run(group, given), strict=True):
                _add(histograms[name], name, array)
    return histograms


def _with_outputs(model: ir.Model, names: Sequence[str], folder: Path) -> Path:
    augmented = model.clone()
    graph = augmented.graph
    present = {value.name for value in (*graph.inputs, *graph.outputs)}
    values = {value.name: value for node in graph for value in node.outputs}
    graph.outputs.extend(values[name] for name in names if name not in present)
    return save_model(augmented, folder)


def _grouped(names: Sequence[str], session: Any, feed: Mapping[str, NDArray[Any]]) -> list[list[str]]:  # noqa: ANN401
    """Returns the names in runs whose activations, for a batch like this one, fit the budget."""
    groups: list[list[str]] = []
    used = BUDGET
    for name, array in zip(names, session.run(list(names), feed) if names else (), strict=True):
        if used + array.nbytes > BUDGET:
            groups.append([])
            used = 0
        groups[-1].append(name)
        used += array.nbytes
    return groups


def _add(histogram: Histogram, name: str, array: NDArray[Any]) -> None:
    try:
        histogram.add(array)
    except ValueError:
        raise UsageError(
            f"tensor {name} holds NaN or infinity on the calibration data",
            hint="quantization cannot represent that; check the data, or the model's arithmetic at that tensor",
        ) from None
