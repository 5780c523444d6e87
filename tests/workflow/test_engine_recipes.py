"""Recipes that end in an engine: what stands in for it, and the plugins that it names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import onnx
import pytest

from optkit.core.artifact import digest_file
from optkit.core.errors import RecipeError, UsageError
from optkit.core.gates import Status
from optkit.core.keys import installed_version
from optkit.core.parse import parse_recipe
from optkit.core.passes import Host
from optkit.runtimes.cuda import find_gpu
from optkit.runtimes.tensorrt.plan import this_platform, write_about
from optkit.workflow.engines import awaited, check_buildable, check_engine, is_deferred, runtime_of
from optkit.workflow.sources import recipe_sources
from optkit.workflow.subjects import candidate_of
from optkit.workflow.tables import load_tables
from tests.passes.engines import FLOAT, proto

if TYPE_CHECKING:
    from pathlib import Path

    from optkit.core.recipe import Recipe

TEXT = """\
name: net
model: {onnx: model.onnx, dims: {batch: {min: 1, opt: 2, max: 4}}}
target: tensorrt
steps: [simplify, build-engine: {OPTIONS}]
"""


def parsed(folder: Path, options: str) -> Recipe:
    onnx.save(proto(FLOAT), folder / "model.onnx")
    (folder / "recipe.yaml").write_text(TEXT.replace("OPTIONS", options))
    return parse_recipe(folder / "recipe.yaml", load_tables(), Host(frozenset(), ""))


def test_a_graph_stands_in_for_an_engine_that_cannot_run(tmp_path: Path) -> None:
    if find_gpu() is not None:
        pytest.skip("there is a GPU")
    subject = candidate_of(parsed(tmp_path, ""), "build-engine")
    assert (subject.name, subject.reference, subject.runtime) == ("build-engine", "simplify", "onnxruntime")
    assert subject.untimed


def test_a_deferred_engine_is_awaited(tmp_path: Path) -> None:
    step = parsed(tmp_path, "defer: true").step("build-engine")
    assert is_deferred(step.do)
    check_buildable(step.do)  # without any library
    (verdict,) = awaited(step.do)
    assert (verdict.status, verdict.accepted) == (Status.UNMEASURED, False)
    assert awaited(parsed(tmp_path, "").step("build-engine").do) == []


def test_plugins_are_files_of_the_recipe(tmp_path: Path) -> None:
    (tmp_path / "plugins").mkdir()
    library = tmp_path / "plugins" / "mine.so"
    library.write_bytes(b"one")
    recipe = parsed(tmp_path, "plugins: [plugins/mine.so]")
    assert recipe.step("build-engine").inputs == {"model": "simplify", "files": "files.build-engine"}
    source = recipe_sources(recipe, digest_file)["files.build-engine"]
    assert dict(source.files) == {"plugins/mine.so": tmp_path / "plugins" / "mine.so"}
    before = source.digest(digest_file)
    library.write_bytes(b"two")
    assert source.digest(digest_file) != before


@pytest.mark.parametrize(
    ("plugin", "message"), [("../mine.so", "is outside the recipe's folder"), ("mine.so", "no such file")]
)
def test_plugins_that_are_not_there(plugin: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "mine.so").touch()
    (tmp_path / "recipe").mkdir()
    with pytest.raises(RecipeError, match=message):
        parsed(tmp_path / "recipe", f"plugins: [{plugin}]")


def test_sizes_of_a_profile_are_checked_with_the_recipe(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"recipe\.yaml:4:.*batch needs 1 ≤ min ≤ opt ≤ max, has 4, 2, 8"):
        parsed(tmp_path, "profiles: [{batch: {min: 4, opt: 2, max: 8}}]")


def test_what_runs_an_artifact(tmp_path: Path) -> None:
    assert runtime_of(tmp_path, "onnxruntime") == "onnxruntime"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"library": "tensorflow"}, "engine.json names an unknown library, tensorflow"),
        ({"platform": "Windows-AMD64"}, "built for the platform Windows-AMD64, and here is"),
        ({"plan": {"bytes": 9, "sha256": ""}}, "engine.plan is truncated: 4 of 9 bytes"),
    ],
)
def test_an_engine_that_could_not_be_loaded_is_refused_without_a_gpu(
    changes: dict[str, object], message: str, tmp_path: Path
) -> None:
    (tmp_path / "engine.plan").write_bytes(b"vtrt")
    plan = {"bytes": 4, "sha256": digest_file(tmp_path / "engine.plan")}
    version = installed_version("tensorrt-rtx")
    about = {"library": "tensorrt-rtx", "version": version, "platform": this_platform(), "profiles": [], "plan": plan}
    write_about(tmp_path, about)
    check_engine(tmp_path)
    write_about(tmp_path, about | changes)
    with pytest.raises(UsageError, match=re.escape(message)):
        check_engine(tmp_path)
