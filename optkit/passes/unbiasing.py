"""Bias correction within the `quantize` pass: kept only if the outputs come closer to the float ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from optkit.graph.save import save_model
from optkit.graph.session import open_graph
from optkit.passes.calibration import first
from optkit.passes.output_error import power

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import onnx_ir as ir
    from numpy.typing import NDArray

    from optkit.core.passes import Work

    Arrays = Mapping[str, NDArray[Any]]
    Feeds = Callable[[], Iterator[Arrays]]

_SAMPLES = 16


def unbiased(
    model: ir.Model,
    correct: Callable[[ir.Model], Sequence[str]],
    write: Callable[[ir.Model], ir.Model],
    feeds: Feeds,
    work: Work,
) -> ir.Model:
    """Returns the int8 graph with corrected biases, or the plain one if it is as good; notes the errors of both.

    Args:
        model: The float graph; it is not changed.
        correct: Changes the biases of a float graph; returns the names of the layers.
        write: Quantizes a graph.
        feeds: Opens the calibration data.
        work: Of the step.
    """
    corrected = model.clone()
    changed = list(correct(corrected))
    plain = write(model)
    if not changed:
        return plain
    candidate = write(corrected)
    before, after = _errors(model, [plain, candidate], first(feeds(), _SAMPLES), work)
    kept = after < before
    work.notes["bias_correction"] = {"layers": changed, "error_before": before, "error_after": after, "kept": kept}
    return candidate if kept else plain


def _errors(model: ir.Model, candidates: Sequence[ir.Model], feeds: Iterator[Arrays], work: Work) -> list[float]:
    """Returns per candidate the power of its outputs' error over that of the outputs, averaged over outputs."""
    import numpy as np

    reference, *sessions = (_open(each, index, work) for index, each in enumerate((model, *candidates)))
    names = [info.name for info in reference.get_outputs() if info.type == "tensor(float)"]
    signal, noise = np.zeros(len(names)), np.zeros((len(sessions), len(names)))
    for feed in feeds:
        given = {info.name: feed[info.name] for info in reference.get_inputs()}
        expected = reference.run(names, given)
        signal += [power(array) for array in expected]
        for index, session in enumerate(sessions):
            outputs = session.run(names, given)
            noise[index] += [power(a - b) for a, b in zip(outputs, expected, strict=True)]
    return [float(each) for each in (noise / np.maximum(signal, np.finfo(float).tiny)).mean(axis=1)]


def _open(model: ir.Model, index: int, work: Work) -> Any:  # noqa: ANN401  # onnxruntime ships no types
    folder = work.scratch / f"unbiasing{index}"
    folder.mkdir(parents=True, exist_ok=True)
    return open_graph(save_model(model, folder))
