from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from optkit.core.errors import StepFailed
from optkit.core.parse import parse_recipe
from optkit.core.passes import Host
from optkit.workflow.alternatives import skip
from optkit.workflow.tables import load_tables

if TYPE_CHECKING:
    from pathlib import Path

    from optkit.core.recipe import Recipe

RECIPE = """\
name: m
model: {onnx: model.onnx}
targets: [onnxruntime-cpu, openvino-cpu, tensorrt]
steps: [simplify, fuse]
"""
ERROR = StepFailed("an operator is unknown")


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    (tmp_path / "model.onnx").touch()
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    return parse_recipe(tmp_path / "recipe.yaml", load_tables(), Host(frozenset(), "here"))


def test_a_target_that_fails_is_skipped_with_its_steps(recipe: Recipe) -> None:
    left, skipped = skip(recipe, ["fuse-openvino-cpu"], ERROR)
    assert skipped == {"openvino-cpu": "an operator is unknown"}
    assert [step.name for step in left.steps] == ["import", "simplify", "fuse-onnxruntime-cpu", "fuse-tensorrt"]


def test_the_failure_of_the_last_one_is_the_runs(recipe: Recipe) -> None:
    left, _ = skip(recipe, ["fuse-openvino-cpu", "fuse-tensorrt"], ERROR)
    with pytest.raises(StepFailed, match="an operator is unknown"):
        skip(left, left.leaves, ERROR)


def test_a_step_that_all_share_fails_the_run(recipe: Recipe) -> None:
    with pytest.raises(StepFailed):
        skip(recipe, recipe.leaves_of("simplify"), ERROR)


def test_nothing_is_skipped_where_the_recipe_does_not_choose(recipe: Recipe) -> None:
    with pytest.raises(StepFailed):
        skip(replace(recipe, alternatives=()), ["fuse-tensorrt"], ERROR)
