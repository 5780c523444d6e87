"""`optkit plan`: what would run, without running it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from optkit.core.errors import UsageError
from optkit.core.keys import Environment, explain, key_of
from optkit.core.parse import parse_recipe
from optkit.core.runner import Execution
from optkit.core.store import Action, Store
from optkit.core.validate import did_you_mean
from optkit.workflow.alternatives import foreseen
from optkit.workflow.host import this_host
from optkit.workflow.sources import recipe_sources
from optkit.workflow.tables import load_tables

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from optkit.core.recipe import Recipe, Step


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """What would happen to one step.

    Attributes:
        name: Its id.
        pass_name: Its pass.
        state: cached, build, or depends (an earlier step must run before its key is known).
        why: For a step to build: what differs from the nearest earlier run, one line each.
        needs: Distributions that it uses.
        seconds: How long the nearest earlier run took, if there was one.
        peak_rss_bytes: Its peak memory, likewise.
        bytes: Size of that run's artifact, likewise.
        foreseen: Of a candidate: that this machine cannot make, run or time it, and why; else nothing.
    """

    name: str
    pass_name: str
    state: Literal["cached", "build", "depends"]
    why: tuple[str, ...]
    needs: tuple[str, ...]
    seconds: float | None = None
    peak_rss_bytes: int | None = None
    bytes: int | None = None
    foreseen: str = ""


def plan(recipe_path: Path, store_root: Path, overrides: Sequence[str] = ()) -> list[PlannedStep]:
    """Returns every step of a recipe with its state.

    Raises:
        UsageError: The recipe or what it names is wrong.
    """
    recipe = parse_recipe(recipe_path, load_tables(), this_host(), overrides)
    return plan_recipe(recipe, Store(store_root))


def plan_recipe(recipe: Recipe, store: Store) -> list[PlannedStep]:
    """Returns every step of a checked recipe with its state."""
    sources = recipe_sources(recipe, store.digests.file)
    execution = Execution(sources, store, Environment.here(this_host()), recipe.folder)
    known = [action for _, action in store.actions()]
    here = foreseen(recipe)
    return [replace(_planned(step, execution, known), foreseen=here.get(step.name, "")) for step in recipe.steps]


def explain_step(steps: Sequence[PlannedStep], name: str) -> list[str]:
    """Returns why a step would run, or that it would not.

    Raises:
        UsageError: There is no such step.
    """
    for step in steps:
        if step.name == name:
            return list(step.why) or [f"{name} is {step.state}"]
    raise UsageError(f"no step {name!r}", hint=did_you_mean(name, [step.name for step in steps]))


def _planned(step: Step, execution: Execution, known: Sequence[Action]) -> PlannedStep:
    def planned(
        state: Literal["cached", "build", "depends"], why: Sequence[str], nearest: Action | None
    ) -> PlannedStep:
        record: dict[str, Any] = dict(nearest.record) if nearest else {}
        size = _size(execution.store, nearest) if nearest else None
        return PlannedStep(
            step.name, _pass_name(step), state, tuple(why), step.do.distributions(),
            record.get("seconds"), record.get("peak_rss_bytes"), size,
        )  # fmt: skip

    unknown = [ref for ref in step.inputs.values() if ref not in execution.sources and ref not in execution.results]
    if unknown:
        return planned("depends", [f"its key is known once {', '.join(unknown)} has run"], None)
    parts = execution.key_parts(step)
    action = execution.store.find(key_of(parts))
    if action:
        execution.results[step.name] = action.artifact
        return planned("cached", [], action)
    nearest = _nearest(parts, known)
    return planned("build", explain(nearest.parts, parts) if nearest else ["it has never run"], nearest)


def _nearest(parts: dict[str, Any], known: Sequence[Action]) -> Action | None:
    """Returns the earlier run of the same pass that differs least; of equals, the newest."""
    same = [action for action in known if action.parts.get("pass") == parts["pass"]]
    return min(same, key=lambda action: len(explain(action.parts, parts)), default=None)


def _pass_name(step: Step) -> str:
    return type(step.do).__name__.lower()


def _size(store: Store, action: Action) -> int:
    return sum(path.stat().st_size for path in store.object_path(action.artifact.digest).rglob("*") if path.is_file())
