"""Accuracy of candidates, paired with the baseline: predictions are steps, so they are cached like any other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from optkit.core.errors import UsageError
from optkit.core.gates import Estimate
from optkit.core.linking import DATA, MODEL
from optkit.core.recipe import Step
from optkit.core.results import Interval, MetricResult
from optkit.workflow.engines import builds_engine, unavailable
from optkit.workflow.tables import TARGETS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from optkit.core.events import Event
    from optkit.core.gates import Gate
    from optkit.core.recipe import MetricUse, Recipe
    from optkit.core.runner import Execution
    from optkit.measure.accuracy import AccuracyResult


@dataclass(frozen=True, slots=True)
class Subject:
    """A model that is measured.

    Attributes:
        name: `baseline`, or the candidate's step.
        reference: The source or step whose artifact it is.
        runtime: What runs it.
        untimed: Why its latency cannot be measured here; nothing if it can.
    """

    name: str
    reference: str
    runtime: str
    untimed: str = ""


def baseline_of(recipe: Recipe) -> Subject:
    """Returns the original: PyTorch eager, or ONNX Runtime fp32 where the source is ONNX."""
    if recipe.model.onnx is not None:
        return Subject("baseline", recipe.reference, "onnxruntime")
    return Subject("baseline", MODEL, "torch")


def candidate_of(recipe: Recipe, leaf: str) -> Subject:
    """Returns what is measured for a leaf: itself or, if its engine cannot run here, the graph that it is built from.

    Precision lies in the graph, so that its accuracy is the engine's; its latency is not.
    """
    target = TARGETS[recipe.targets[leaf]]
    step = recipe.step(leaf)
    if not builds_engine(step.do):
        return Subject(leaf, leaf, target.runtime, "" if target.timed else target.why_not)
    missing = unavailable(step.do)
    if missing:
        return Subject(leaf, step.inputs[MODEL], target.runtime, missing)
    return Subject(leaf, leaf, target.name)


def prediction_step(recipe: Recipe, subject: Subject, part: str) -> Step:
    """Returns the step that runs `subject` over a part of the data, for the outputs that metrics use."""
    from optkit.passes.predict import Predict

    outputs = tuple(sorted({use.metric.output for use in recipe.metrics if use.data == part}))
    do = Predict(runtime=subject.runtime, outputs=outputs, threads=recipe.measure.threads)
    return Step(f"{subject.name} on {part}", do, {"model": subject.reference, "data": DATA + part})


def predict(recipe: Recipe, subject: Subject, execution: Execution) -> Iterator[Event]:
    """Makes the predictions of `subject` on every part of the data that a metric uses."""
    for part in sorted({use.data for use in recipe.metrics}):
        step = prediction_step(recipe, subject, part)
        yield from execution.execute(step)
        yield from execution.materialise(step.name)


def score(recipe: Recipe, baseline: Subject, candidate: Subject, execution: Execution) -> list[MetricResult]:
    """Returns every metric of `candidate`; the predictions of both must have been made.

    Raises:
        UsageError: A metric does not fit the outputs or the labels.
    """
    return [_score(recipe, use, baseline, candidate, execution) for use in recipe.metrics]


def _score(recipe: Recipe, use: MetricUse, baseline: Subject, candidate: Subject, execution: Execution) -> MetricResult:
    from optkit.measure.accuracy import compare
    from optkit.measure.predictions import read_predictions

    names = [prediction_step(recipe, subject, use.data).name for subject in (baseline, candidate)]
    before, after = (read_predictions(execution.path(name)) for name in names)
    try:
        result = compare(use.name, use.metric, before, after)
    except UsageError as error:
        raise UsageError(f"metrics.{use.name}: {error.message}", hint=error.hint) from None
    return MetricResult(
        name=use.name,
        kind=use.kind,
        data=use.data,
        samples=result.count,
        baseline=None if use.metric.relative else Interval(result.baseline, *result.baseline_interval),
        candidate=Interval(result.candidate, *result.candidate_interval),
        drop=_drop(result, recipe.gates_of(candidate.name).get(use.name)),
    )


def _drop(result: AccuracyResult, gate: Gate | None) -> Estimate:
    needed = None if gate is None or gate.max_drop is None else result.samples_to_settle(gate.max_drop)
    return Estimate(result.drop, result.drop_lower, result.drop_upper, needed)
