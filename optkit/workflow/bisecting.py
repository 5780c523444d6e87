"""`optkit optimize --bisect`: which step, and which node in it, first makes a result bad."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from optkit.core import interface as interfaces
from optkit.core.errors import StepFailed
from optkit.core.events import Bisected
from optkit.core.linking import MODEL
from optkit.workflow.comparing import layer_comparison
from optkit.workflow.feeds import SEED, first_samples
from optkit.workflow.tables import TARGETS

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from optkit.core.events import Event
    from optkit.core.recipe import Recipe
    from optkit.core.runner import Execution
    from optkit.passes.layer_errors import LayerError
    from optkit.workflow.subjects import Subject

    Arrays = Mapping[str, NDArray[Any]]

BAD_NOISE = 0.1
"""Noise over signal of an output (20 dB) from which a step's result is bad."""
FACTOR = 3.0
"""How many times as much noise as the step before a step must leave to be the one where it goes wrong."""
_FLOOR = 1e-3
"""Noise that is no worse than none, when steps are compared."""


@dataclass(frozen=True, slots=True)
class StepError:
    """The worst output of a step's graph, against the baseline.

    Attributes:
        step: Its name.
        output: The output.
        inputs: Index of the inputs it is worst on.
        noise: Norm of the error over norm of the signal; of integers, the share that differs.
        cosine: Cosine between both; of integers, the share that is equal.
    """

    step: str
    output: str
    inputs: int
    noise: float
    cosine: float


def bisect(
    recipe: Recipe, baseline: Subject, candidate: Subject, execution: Execution, refused: Sequence[str]
) -> Generator[Event, None, None]:
    """Compares each graph step on the way to a candidate with the baseline, and looks into the one that goes wrong.

    Args:
        recipe: What ran.
        baseline: The original.
        candidate: The leaf.
        execution: All its steps were executed.
        refused: Gates on metrics that the candidate did not pass.

    Raises:
        OptkitError: A graph does not run.
    """
    steps = [step for step in _chain(recipe, candidate.name) if execution.results[step].kind == "onnx"]
    for reference in (baseline.reference, *steps):
        yield from execution.materialise(reference)
    feeds = list(_feeds(recipe, execution, steps[0]))
    expected = _run(baseline.runtime, execution.path(baseline.reference), feeds)
    runtime = TARGETS[recipe.targets[candidate.name]].runtime
    errors = [_worst(step, expected, _run(runtime, execution.path(step), feeds)) for step in steps]
    blamed = _blamed(errors, certain=bool(refused))
    tensor = None
    if blamed is not None and blamed > 0:
        folders = [execution.path(step) for step in (steps[blamed - 1], steps[blamed])]
        tensor = _first_bad(folders[0], folders[1], feeds[errors[blamed].inputs], errors[blamed])
        tensor = _located(tensor, execution.path(steps[0])) if tensor is not None else None
    yield Bisected(
        candidate=candidate.name,
        step="" if blamed is None else steps[blamed],
        text=_verdict(candidate.name, errors, blamed, tensor, refused),
        steps=tuple(_plain(error) for error in errors),
        tensor=_plain(tensor),
    )


def _chain(recipe: Recipe, leaf: str) -> list[str]:
    """Returns the steps from the source to a leaf."""
    inputs = {step.name: step.inputs.get(MODEL, "") for step in recipe.steps}
    chain = [leaf]
    while inputs.get(chain[-1], "") in inputs:
        chain.append(inputs[chain[-1]])
    return chain[::-1]


def _feeds(recipe: Recipe, execution: Execution, step: str) -> Generator[Arrays, None, None]:
    """Yields the first samples of each part of the data that a metric uses; without any, inputs that are made up.

    Where there is data, made-up inputs would blame quantization for values that its calibration never saw.
    """
    from optkit.core.linking import DATA
    from optkit.measure.feeding import made_up_inputs

    interface = interfaces.read(execution.path(step))
    parts = sorted({use.data for use in recipe.metrics})
    if not parts:
        yield made_up_inputs(interface, interface.sizes("opt"), SEED)
    for part in parts:
        yield first_samples(interface, execution.path(DATA + part))


def _run(runtime: str, folder: Path, feeds: Sequence[Arrays]) -> list[dict[str, NDArray[Any]]]:
    from optkit.runtimes.table import runtime_named

    session = runtime_named(runtime).open(folder, 1)
    return [session.run(feed) for feed in feeds]


def _worst(step: str, expected: Sequence[Arrays], actual: Sequence[Arrays]) -> StepError:
    errors = [
        StepError(step, name, index, *_error(right, ours[name]))
        for index, (theirs, ours) in enumerate(zip(expected, actual, strict=True))
        for name, right in theirs.items()
        if name in ours
    ]
    return max(errors, key=lambda error: error.noise)


def _error(expected: NDArray[Any], actual: NDArray[Any]) -> tuple[float, float]:
    from optkit.measure.parity import compare_outputs

    if expected.dtype.kind in "biu" and expected.shape == actual.shape:
        differs = float((expected != actual).mean()) if expected.size else 0.0
        return differs, 1.0 - differs
    (found,) = compare_outputs({"": expected}, {"": actual})
    return (math.inf if math.isnan(found.sqnr_db) else 10 ** (-found.sqnr_db / 20)), found.cosine


def _blamed(errors: Sequence[StepError], *, certain: bool) -> int | None:
    """Returns the first step that goes wrong; if none does but the result is bad, the one that adds most noise."""
    noise = [error.noise for error in errors]
    jumps = [after / max(before, _FLOOR) for before, after in zip([0.0, *noise], noise, strict=False)]
    wrong = [index for index, jump in enumerate(jumps) if noise[index] >= BAD_NOISE and jump >= FACTOR]
    if wrong:
        return wrong[0]
    return max(range(len(jumps)), key=jumps.__getitem__) if certain and max(jumps) > 1 else None


def _first_bad(before: Path, after: Path, feed: Arrays, error: StepError) -> LayerError | None:
    """Returns the first bad tensor; a step that is bad by little is looked into with the bar at its own output."""
    output_db = -20 * math.log10(error.noise) if 0 < error.noise < math.inf else -math.inf
    try:
        return layer_comparison(before, after, feed, max(-20 * math.log10(BAD_NOISE), output_db + 0.5)).first_bad
    except StepFailed:  # a graph that ONNX Runtime takes only as a whole
        return None


def _located(tensor: LayerError, first: Path) -> LayerError:
    """Adds where the tensor comes from, as the first graph knows it: third parties' rewrites forget it."""
    from optkit.graph.clean import SCOPE, SOURCE
    from optkit.graph.load import load_model
    from optkit.graph.save import MODEL_FILE

    nodes = load_model(first / MODEL_FILE).graph.all_nodes()
    made = next((node for node in nodes if tensor.tensor in {value.name for value in node.outputs}), None)
    if made is None:
        return tensor
    props = made.metadata_props
    return replace(tensor, source=tensor.source or props.get(SOURCE, ""), scope=tensor.scope or props.get(SCOPE, ""))


def _verdict(
    candidate: str, errors: Sequence[StepError], blamed: int | None, tensor: LayerError | None, refused: Sequence[str]
) -> str:
    if blamed is None:
        last = max(errors, key=lambda error: error.noise)
        why = f", so {', '.join(refused)} is not missed by what a step does to these inputs" if refused else ""
        return f"{candidate}: no step goes wrong; the worst is `{last.step}` with cosine {last.cosine:.6f}{why}"
    error = errors[blamed]
    before = f"{errors[blamed - 1].cosine:.4f} → " if blamed else ""
    what = "is where it goes wrong" if error.noise >= BAD_NOISE else "adds the most error"
    text = f"{candidate}: step `{error.step}` {what}: cosine of {error.output} {before}{error.cosine:.4f}"
    if tensor is None:
        return text if blamed else f"{text}; it is the first graph, so there is none to compare its tensors with"
    where = f" ({tensor.source or tensor.scope})" if tensor.source or tensor.scope else ""
    return f"{text}; first bad tensor `{tensor.tensor}`, produced by {tensor.operator} {tensor.node}{where}"


def _plain(error: StepError | LayerError | None) -> dict[str, Any] | None:
    """Returns JSON values; it has no infinity and no NaN."""
    if error is None:
        return None
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in asdict(error).items()
    }
