from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from optkit.core.parse import parse_recipe
from optkit.core.passes import Host
from optkit.data.manifest import MANIFEST, load_manifest
from optkit.workflow.sources import recipe_sources
from optkit.workflow.tables import load_tables

if TYPE_CHECKING:
    from optkit.core.recipe import Recipe

ROOT = Path(__file__).parents[2]
RECIPES = sorted(ROOT.glob("recipes/*/recipe.yaml"))


@pytest.fixture(params=RECIPES, ids=lambda path: path.parent.name)
def recipe(request: pytest.FixtureRequest) -> Recipe:
    """Returns each recipe of the clone."""
    return parse_recipe(request.param, load_tables(), Host(frozenset(), "any"))


def test_there_are_recipes() -> None:
    assert RECIPES


def test_everything_that_a_recipe_names_is_there(recipe: Recipe) -> None:
    from optkit.core.artifact import digest_file

    sources = recipe_sources(recipe, digest_file)
    assert set(sources) == {"model", *(f"data.{name}" for name in recipe.data)}
    assert all(path.is_file() for source in sources.values() for path in source.files.values())


def test_a_recipe_judges_what_it_packages(recipe: Recipe) -> None:
    assert recipe.gates
    assert any(use.name in recipe.gates for use in recipe.metrics)


def test_nothing_is_judged_on_rows_that_chose_something(recipe: Recipe) -> None:
    for first_name, first in recipe.data.items():
        for second_name, second in recipe.data.items():
            if first_name < second_name and first.dataset == second.dataset:
                splits = load_manifest(recipe.folder / first.dataset / MANIFEST).splits
                rows = [range(*(splits[str(part.split)].rows or (0, 0))) for part in (first, second)]
                assert all(map(len, rows))
                assert not set(rows[0]) & set(rows[1])


def test_the_quickstart_keeps_its_promise() -> None:
    data = yaml.safe_load((ROOT / "recipes" / "mnist" / "recipe.yaml").read_text())
    assert data["gates"]["top1"]["max_drop"] <= 0.005
    assert data["gates"]["size"]["max_ratio"] <= 0.4
    assert data["gates"]["latency"]["min_speedup"] > 1
    assert data["data"]["evaluation"]["split"] == "test"
    splits = load_manifest(ROOT / "calibration" / "mnist" / MANIFEST).splits
    rows = [set(range(*(split.rows or (0, 0)))) for split in splits.values()]
    assert sum(map(len, rows)) == len(set().union(*rows))
