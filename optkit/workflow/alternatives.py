"""Targets that a recipe chooses among: one that cannot be had is skipped, as long as another is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from optkit.core.errors import OptkitError
    from optkit.core.recipe import Recipe


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
