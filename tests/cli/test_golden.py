"""Plain outputs that change only on purpose."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import jsonschema
import pytest
import yaml

from tests.cli.project import RECIPE, torch_project

if TYPE_CHECKING:
    from tests.cli.command import Optkit
    from tests.cli.conftest import Run

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "cli"


def assert_golden(name: str, text: str) -> None:
    """Compares with the file in tests/golden/cli."""
    assert text == (GOLDEN / name).read_text()
    assert not [line for line in text.splitlines() if line != line.rstrip()]


def test_plan_of_a_recipe_that_has_never_run(fresh: Optkit) -> None:
    assert_golden("plan.txt", fresh("plan", ROOT / "recipes" / "mnist" / "recipe.yaml").out)


def test_passes(optkit: Optkit) -> None:
    assert_golden("passes.txt", optkit("passes").out)


@pytest.mark.parametrize("name", ["quantize", "triton"])
def test_options(name: str, optkit: Optkit) -> None:
    assert_golden(f"passes-{name}.txt", optkit("passes", name).out)


def test_passes_for_programs(optkit: Optkit) -> None:
    found = optkit("passes", "--json").json
    assert list(found["passes"]) == [
        "build-engine",
        "cast",
        "export",
        "fuse",
        "quantize",
        "quantize-inc",
        "quantize-weights",
        "simplify",
        "tune",
    ]
    assert set(found) == {"metrics", "passes", "serving runtimes", "targets"}


def test_a_pass_that_is_not_there(optkit: Optkit) -> None:
    assert "did you mean 'simplify'?" in optkit("passes", "simplfy", code=2).err


def test_the_help_of_optimize(optkit: Optkit) -> None:
    assert_golden("optimize-help.txt", optkit("optimize", "--help").out)


def test_config_of_triton(onnx_run: Run) -> None:
    assert_golden("config.pbtxt", (onnx_run.folder / "triton" / "tiny" / "config.pbtxt").read_text())


@pytest.fixture(scope="module")
def schema(optkit: Optkit) -> jsonschema.Draft202012Validator:
    """Returns a validator of recipes."""
    found = optkit("schema").json
    jsonschema.Draft202012Validator.check_schema(found)
    return jsonschema.Draft202012Validator(found)


@pytest.mark.parametrize("path", sorted(ROOT.glob("recipes/*/recipe.yaml")), ids=lambda path: path.parent.name)
def test_every_recipe_fits_the_schema(path: Path, schema: jsonschema.Draft202012Validator) -> None:
    schema.validate(yaml.safe_load(path.read_text()))


MISTAKES = {
    "section": ("gates:", "gate:"),
    "key": ("max_drop", "max_dorp"),
    "pass": ("[export", "[exprt"),
    "option": ("quantize]", "quantize: {rangs: kl}]"),
    "choice": ("quantize]", "quantize: {ranges: mes}]"),
    "type": ("min: 1", "min: one"),
    "metric": ("kind: accuracy", "kind: acuracy"),
    "serving runtime": ("triton:", "tritn:"),
}


@pytest.mark.parametrize(("old", "new"), MISTAKES.values(), ids=MISTAKES)
def test_the_schema_sees_what_the_program_refuses(
    old: str, new: str, schema: jsonschema.Draft202012Validator, optkit: Optkit, tmp_path: Path
) -> None:
    schema.validate(yaml.safe_load(RECIPE))
    project = torch_project(tmp_path / "project")
    project.edit((old, new))
    assert not schema.is_valid(yaml.safe_load(project.recipe.read_text()))
    optkit("plan", project.recipe, code=2)


def test_the_report_fits_its_schema(optkit: Optkit, onnx_run: Run) -> None:
    report = json.loads((onnx_run.folder / "report.json").read_text())
    jsonschema.validate(report, optkit("schema", "report").json)


def test_the_schema_describes_every_option(schema: jsonschema.Draft202012Validator) -> None:
    quantize = next(
        step["properties"]["quantize"]["anyOf"][0]
        for step in schema.schema["properties"]["steps"]["items"]["oneOf"]
        if "quantize" in step.get("properties", {})
    )
    assert all(option["description"] for option in quantize["properties"].values())
