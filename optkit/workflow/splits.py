"""What chooses and what judges must not see the same samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optkit.core.errors import UsageError
from optkit.core.linking import DATA
from optkit.core.recipe import Step
from optkit.workflow.sources import declared_interface

if TYPE_CHECKING:
    from collections.abc import Iterator

    from optkit.core.events import Event
    from optkit.core.recipe import Recipe
    from optkit.core.runner import Execution

CALIBRATION, SEARCH = "calibration", "search"


def apart(first: str, second: str) -> Step:
    """Returns the step that refuses two parts of the data that share samples."""
    from optkit.passes.disjoint import Disjoint

    inputs = {"first": DATA + first, "second": DATA + second}
    return Step(f"{first} apart from {second}", Disjoint((first, second)), inputs)


def check_splits(recipe: Recipe, execution: Execution) -> Iterator[Event]:
    """Refuses a model that takes no samples, and parts of the data that share some with the one that judges."""
    from optkit.measure.feeding import batch_limit

    if recipe.data and recipe.model.onnx is None:  # an ONNX file tells its axes when it is imported
        batch_limit(declared_interface(recipe.model))
    judged = {use.data for use in recipe.metrics}
    for name in sorted(judged):
        for step in recipe.steps:
            if DATA + name in step.inputs.values():
                raise UsageError(
                    f"data.{name} is what {step.name} chooses by, and what a metric judges on",
                    hint="give the metric data of its own",
                )
    chosen_by = [name for name in recipe.data if name not in judged]
    pairs = [(first, second) for first in chosen_by for second in sorted(judged)]
    if any({CALIBRATION, SEARCH} <= step.inputs.keys() for step in recipe.steps):
        pairs.append((CALIBRATION, SEARCH))
    for first, second in pairs:
        yield from execution.execute(apart(first, second))
