"""The parts of a report that need no judgement: the original, the steps, the sources."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optkit.core.results import BaselineResult, StepResult
from optkit.workflow import packaging
from optkit.workflow.model_facts import model_facts

if TYPE_CHECKING:
    from optkit.core.events import StepFinished
    from optkit.core.recipe import Recipe
    from optkit.core.runner import Execution
    from optkit.workflow.subjects import Subject
    from optkit.workflow.timing import Timings


def baseline_result(recipe: Recipe, baseline: Subject, timings: Timings, execution: Execution) -> BaselineResult:
    """Returns what was found of the original model."""
    return BaselineResult(
        name=baseline.name,
        runtime=baseline.runtime,
        digest=execution.digest(baseline.reference),
        size_bytes=packaging.model_bytes(execution.path(recipe.reference)),
        timing=timings.of(baseline.name),
    )


def step_result(event: StepFinished, execution: Execution) -> StepResult:
    """Returns what was found of a step."""
    step = execution.steps[event.step]
    size, operators = model_facts(event.kind, execution.path(event.step))
    return StepResult(
        name=step.name,
        pass_name=type(step.do).__name__,
        options=step.do.config(),
        inputs={role: execution.digest(reference) for role, reference in step.inputs.items()},
        digest=event.digest,
        key=event.key,
        cached=event.cached,
        seconds=event.record["seconds"],
        peak_rss_bytes=event.record["peak_rss_bytes"],
        notes=event.record["notes"],
        size_bytes=size,
        operators=operators,
    )


def source_digests(execution: Execution) -> dict[str, str]:
    """Returns source → digest."""
    return {name: execution.digest(name) for name in execution.sources}
