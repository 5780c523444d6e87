"""What a run measures: the original, and the artifact of each candidate that can run here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from optkit.core.linking import MODEL
from optkit.workflow.engines import builds_engine, unavailable
from optkit.workflow.tables import TARGETS

if TYPE_CHECKING:
    from optkit.core.recipe import Recipe


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
