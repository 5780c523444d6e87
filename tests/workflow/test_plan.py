from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from optkit.core.errors import UsageError
from optkit.core.keys import Environment, key_of
from optkit.core.parse import parse_recipe
from optkit.core.runner import Execution
from optkit.core.store import Action, Store
from optkit.workflow.host import this_host
from optkit.workflow.plan import PlannedStep, explain_step, plan
from optkit.workflow.sources import recipe_sources
from optkit.workflow.tables import load_tables

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    (tmp_path / "model.py").write_text("def build(): ...\n")
    np.savez(tmp_path / "data.npz", x=np.zeros((4, 2), np.float32))
    document = {
        "name": "small",
        "model": {
            "factory": "model.py:build",
            "inputs": {"x": {"dtype": "float32", "shape": ["batch", 2]}},
            "dims": {"batch": {"min": 1, "opt": 2, "max": 4}},
        },
        "data": {"calibration": {"dataset": "data.npz"}},
        "steps": ["export", "quantize"],
    }
    (tmp_path / "recipe.yaml").write_text(json.dumps(document))
    return tmp_path / "recipe.yaml"


def pretend_export_ran(recipe: Path, store: Store) -> None:
    """Puts an artifact into the store under the key that `export` has now."""
    parsed = parse_recipe(recipe, load_tables(), this_host())
    sources = recipe_sources(parsed, store.digests.file)
    execution = Execution(sources, store, Environment.here(this_host()), recipe.parent)
    parts = execution.key_parts(parsed.steps[0])
    with store.workspace() as folder:
        (folder / "tree").mkdir()
        (folder / "tree" / "model.onnx").write_bytes(b"12345")
        artifact = store.put("onnx", folder / "tree")
    store.commit(key_of(parts), Action(artifact, "export", parts, {"seconds": 1.5, "peak_rss_bytes": 7, "notes": {}}))


def states(steps: list[PlannedStep]) -> list[tuple[str, str]]:
    return [(step.name, step.state) for step in steps]


def test_in_an_empty_store_the_first_step_runs_and_the_next_depends(recipe: Path, tmp_path: Path) -> None:
    steps = plan(recipe, tmp_path / "store")
    assert states(steps) == [("export", "build"), ("quantize", "depends")]
    assert explain_step(steps, "export") == ["it has never run"]
    assert explain_step(steps, "quantize") == ["its key is known once export has run"]


def test_a_step_that_ran_is_cached_and_the_next_key_is_known(recipe: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    pretend_export_ran(recipe, store)
    steps = plan(recipe, store.root)
    assert states(steps) == [("export", "cached"), ("quantize", "build")]
    assert (steps[0].seconds, steps[0].peak_rss_bytes, steps[0].bytes) == (1.5, 7, 5)


def test_a_changed_option_is_named(recipe: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    pretend_export_ran(recipe, store)
    steps = plan(recipe, store.root, ["steps.export.tolerance=0.5"])
    assert explain_step(steps, "export") == ["option tolerance: 0.001 → 0.5"]


def test_a_changed_file_of_the_model_is_named(recipe: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    pretend_export_ran(recipe, store)
    (tmp_path / "model.py").write_text("def build(): return 1\n")
    line = explain_step(plan(recipe, store.root), "export")[-1]
    assert line.startswith("model code/model.py: ")


def test_an_unknown_step_has_a_near_miss(recipe: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no step 'quantise'") as caught:
        explain_step(plan(recipe, tmp_path / "store"), "quantise")
    assert caught.value.hint == "did you mean 'quantize'?"
