from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from optkit.core.errors import StepFailed
from optkit.core.parse import parse_recipe
from optkit.core.passes import Host
from optkit.runtimes.table import RUNTIMES
from optkit.workflow.alternatives import foreseen, skip
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
TARGETS = ["openvino-cpu", "onnxruntime-cpu"]
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


def test_what_this_machine_cannot_do_is_foreseen(recipe: Recipe) -> None:
    said = foreseen(recipe)
    why = "the recipe builds no engine, so the target's latency is unknown"
    assert said["fuse-tensorrt"] == f"tensorrt is not timed here: {why}"
    assert "fuse-onnxruntime-cpu" not in said


@pytest.mark.parametrize(("targets", "fate"), [(TARGETS, "is skipped here"), (TARGETS[:1], "cannot be had here")])
def test_an_absent_runtime_is_skipped_if_another_is_left(
    targets: list[str], fate: str, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RUNTIMES, "openvino", replace(RUNTIMES["openvino"], needs=("no-such-distribution",)))
    left = recipe.keeping([f"fuse-{target}" for target in targets])
    why = "the runtime openvino needs no-such-distribution, which is not installed"
    assert foreseen(left)["fuse-openvino-cpu"] == f"openvino-cpu {fate}: {why}"
