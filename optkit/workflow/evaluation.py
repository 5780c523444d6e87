"""Accuracy of candidates, paired with the baseline: predictions are steps, so they are cached like any other."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from optkit.core.errors import MissingDependency, StepFailed, UsageError
from optkit.core.gates import Gate
from optkit.core.linking import DATA
from optkit.core.recipe import Step
from optkit.workflow.scoring import check_part, metric_result

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from optkit.core.events import Event
    from optkit.core.recipe import MetricUse, Recipe
    from optkit.core.results import MetricResult
    from optkit.core.runner import Execution
    from optkit.core.sources import Source
    from optkit.workflow.subjects import Subject


def prediction_step(recipe: Recipe, subject: Subject, part: str) -> Step:
    """Returns the step that runs `subject` over a part of the data, for the outputs that metrics use."""
    from optkit.passes.predict import Predict

    outputs = tuple(sorted({name for use in recipe.metrics if use.data == part for name in use.metric.outputs}))
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


def check_data(recipe: Recipe, sources: Mapping[str, Source]) -> None:
    """Refuses, before any work, metrics without the labels and gates without the slices that they need.

    Raises:
        UsageError: Says which.
    """
    for use in recipe.metrics:
        each = recipe.gates[use.name].each if use.name in recipe.gates else ()
        with _named(use):
            check_part(use, each, sources[DATA + use.data])


@contextmanager
def _named(use: MetricUse) -> Iterator[None]:
    """Says in errors which metric does not fit."""
    try:
        yield
    except (UsageError, StepFailed, MissingDependency) as error:
        raise type(error)(f"metrics.{use.name}: {error.message}", hint=error.hint) from None


def _score(recipe: Recipe, use: MetricUse, baseline: Subject, candidate: Subject, execution: Execution) -> MetricResult:
    from optkit.data.selection import class_names_of
    from optkit.measure.predictions import read_predictions

    names = [prediction_step(recipe, subject, use.data).name for subject in (baseline, candidate)]
    before, after = (read_predictions(execution.path(name)) for name in names)
    gate = recipe.gates_of(candidate.name).get(use.name, Gate())
    with _named(use):
        return metric_result(use, before, after, gate, class_names_of(execution.sources[DATA + use.data]))
