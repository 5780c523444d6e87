from __future__ import annotations

import shutil
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from optkit.core.artifact import digest_file
from optkit.core.errors import RecipeError, UsageError
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
def recipe(request: pytest.FixtureRequest, tmp_path: Path) -> Recipe:
    """Returns each recipe of the clone; weights that `make recipes` has not made yet are stood in for."""
    return parsed(with_weights(request.param, tmp_path))


def parsed(path: Path) -> Recipe:
    return parse_recipe(path, load_tables(), Host(frozenset(), "any"))


def with_weights(path: Path, folder: Path) -> Path:
    """Returns the recipe, or a copy of the clone's recipes and manifests in which its weights are an empty file."""
    weights = path.parent / yaml.safe_load(path.read_text())["model"]["weights"]
    if weights.is_file():
        return path
    copy = bare_clone(folder) / path.relative_to(ROOT)
    (copy.parent / weights.name).touch()
    return copy


def bare_clone(folder: Path) -> Path:
    """Copies recipes and manifests as they are in the repository: without what `make recipes` makes."""
    shutil.copytree(ROOT / "recipes", folder / "recipes", ignore=shutil.ignore_patterns("*.pth", "out", "__pycache__"))
    shutil.copytree(
        ROOT / "calibration", folder / "calibration", ignore=shutil.ignore_patterns("*.parquet", "__pycache__")
    )
    (folder / "recipes" / "minilm" / "weights.safetensors").unlink(missing_ok=True)
    for archive in (folder / "calibration" / "photos").glob("*.npz"):
        archive.unlink()
    return folder


def test_there_are_recipes() -> None:
    assert RECIPES


def test_everything_that_a_recipe_names_is_there(recipe: Recipe) -> None:
    if recipe.model.prepare and not recipe.path.is_relative_to(ROOT):
        pytest.skip("`make recipes` was not run")
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
                one, other = (splits[str(part.split)] for part in (first, second))
                if one.files != other.files:
                    assert not set(one.files) & set(other.files)
                    continue
                rows = [range(*(split.rows or (0, 0))) for split in (one, other)]
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


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.parent.name)
def test_a_recipe_without_its_weights_or_data_names_the_command_that_makes_them(path: Path, tmp_path: Path) -> None:
    copy = bare_clone(tmp_path) / path.relative_to(ROOT)
    model = yaml.safe_load(path.read_text())["model"]
    if "prepare" not in model:
        assert recipe_sources(parsed(copy), digest_file)  # carries all that it needs
        return
    with pytest.raises(RecipeError, match=r"model\.weights  no such file: .*\(`make recipes` makes it\)"):
        parsed(copy)
    (copy.parent / model["weights"]).touch()
    with pytest.raises(UsageError, match=r"the manifest names it, but it is missing\n`make recipes` makes it"):
        recipe_sources(parsed(copy), digest_file)


@pytest.mark.parametrize("name", ["photos", "english"])
def test_data_that_is_not_ours_stays_out_of_the_repository(name: str) -> None:
    manifest = load_manifest(ROOT / "calibration" / name / MANIFEST)
    assert manifest.license
    assert manifest.homepage
    assert manifest.prepare == "make recipes"
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    for file in manifest.files:
        assert any(fnmatch(f"/calibration/{name}/{file}", pattern) for pattern in ignored)
