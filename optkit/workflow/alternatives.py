"""Targets that a recipe chooses among: one that cannot be had is skipped, as long as another is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optkit.core.errors import OptkitError
from optkit.runtimes.table import check_installed
from optkit.workflow.engines import check_buildable
from optkit.workflow.subjects import candidate_of
from optkit.workflow.tables import TARGETS

if TYPE_CHECKING:
    from collections.abc import Collection

    from optkit.core.recipe import Recipe


def check_target(recipe: Recipe, leaf: str) -> None:
    """Refuses, before any work, a candidate that cannot be made or run here.

    Raises:
        UsageError: No engine is built for its target.
        MissingDependency: Something that its target needs is absent.
    """
    check_installed(TARGETS[recipe.targets[leaf]].runtime)
    check_buildable(recipe.step(leaf).do)


def foreseen(recipe: Recipe) -> dict[str, str]:
    """Returns candidate → what will not be done for it on this machine, and why."""
    obstacles: dict[str, str] = {}
    for leaf in recipe.leaves:
        try:
            check_target(recipe, leaf)
        except OptkitError as error:
            obstacles[leaf] = error.message
    left = [leaf for leaf in recipe.leaves if leaf not in obstacles]
    sentences: dict[str, str] = {}
    for leaf in recipe.leaves:
        target, untimed = recipe.targets[leaf], candidate_of(recipe, leaf).untimed
        if leaf in obstacles:
            fate = "is skipped here" if left and target in recipe.alternatives else "cannot be had here"
            sentences[leaf] = f"{target} {fate}: {obstacles[leaf]}"
        elif untimed:
            sentences[leaf] = f"{target} is not timed here: {untimed}"
    return sentences


def skip(recipe: Recipe, leaves: Collection[str], error: OptkitError) -> tuple[Recipe, dict[str, str]]:
    """Returns the recipe without the targets of some candidates, and target → why it is skipped.

    Args:
        recipe: As far as nothing was skipped yet.
        leaves: The candidates that cannot be made or run.
        error: Why.

    Raises:
        OptkitError: `error` itself: the recipe does not choose among targets, or none would be left.
    """
    gone = {recipe.targets[leaf] for leaf in leaves} & set(recipe.alternatives)
    left = [leaf for leaf in recipe.leaves if recipe.targets[leaf] not in gone]
    if not gone or not left:
        raise error
    return recipe.keeping(left), dict.fromkeys(sorted(gone), error.message)
