from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.project import ONNX_RECIPE, Project, onnx_project

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.command import Optkit


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Returns a project of its own: none of these tests gets as far as running a step."""
    return onnx_project(tmp_path / "project")


def refused(optkit: Optkit, project: Project, *arguments: str) -> str:
    """Optimizes and returns what stderr says; nothing may have been made."""
    out = project.folder.parent / "out"
    done = optkit("optimize", project.recipe, "-o", out, *arguments, code=2)
    assert done.err.startswith("error: ")
    assert not out.exists()
    return done.err


CASES = {
    "misspelled section": (("gates:", "gate:"), "recipe.yaml:11:1  gate  unknown section  (did you mean 'gates'?)"),
    "misspelled key": (
        ("max_drop", "max_dorp"),
        ":12:10  gates.top1.max_dorp  unknown key  (did you mean 'max_drop'?)",
    ),
    "misspelled pass": (("simplify", "simplfy"), ":10:9  steps[0]  unknown pass 'simplfy'  (did you mean 'simplify'?)"),
    "misspelled metric": (
        ("accuracy", "acuracy"),
        ":9:16  metrics.top1.kind  unknown metric 'acuracy'  (did you mean 'accuracy'?)",
    ),
    "misspelled option": (
        ("quantize]", "quantize: {rangs: kl}]"),
        "steps[1].quantize.rangs  unknown key  (did you mean 'ranges'?)",
    ),
    "misspelled choice": (
        ("quantize]", "quantize: {ranges: mes}]"),
        "ranges  should be 'minmax', 'percentile', 'mse', 'kl' or 'auto', not \"mes\"  (did you mean 'mse'?)",
    ),
    "misspelled gate": (("  top1: {max", "  top5: {max"), ":12:3  gates.top5  no such metric  (did you mean 'top1'?)"),
    "text for a number": (("min: 1", "min: one"), ':4:23  model.dims.batch.min  should be a valid integer, not "one"'),
    "fraction for an integer": (("opt: 4", "opt: 4.5"), "model.dims.batch.opt  should be a valid integer"),
    "number for a text": (("name: tiny", "name: 3"), ":1:7  name  should be a name of letters"),
    "list for a mapping": (
        ("{dataset: calibration.npz}", "[calibration.npz]"),
        ":6:16  data.calibration  should be a mapping, not",
    ),
    "missing section": (("steps: [simplify, quantize]\n", ""), ":1:1  steps  is missing"),
    "missing model file": (("model.onnx", "modle.onnx"), ":3:9  model.onnx  no such file"),
    "missing data": (("evaluation.npz", "evalution.npz"), ":7:25  data.evaluation.dataset  no such file"),
    "duplicate key": (("steps:", "name: again\nsteps:"), ":10:1  name  duplicate key, first on line 1"),
    "no YAML": (("{max_drop: 0.1}", "{max_drop: 0.1"), "(syntax)"),
    "a gate that demands nothing": (
        ("{max_drop: 0.1}", "{}"),
        ":12:9  gates.top1  demands nothing  (add max_drop or min or max or max_regression)",
    ),
    "a gate that does not apply": (
        ("max_drop: 0.1", "min_speedup: 2"),
        "gates.top1.min_speedup  does not apply to top1",
    ),
    "a part of the data that is not there": (
        ("output: logits}", "output: logits, data: test}"),
        "metrics.top1.data  there is no data.test",
    ),
}


@pytest.mark.parametrize(("change", "expected"), CASES.values(), ids=CASES)
def test_a_mistake_is_shown_at_its_place(
    change: tuple[str, str], expected: str, optkit: Optkit, project: Project
) -> None:
    project.edit(change)
    said = refused(optkit, project)
    assert expected in said
    assert len(said.splitlines()) == 1


def test_a_tag_that_runs_code_is_refused_and_not_run(optkit: Optkit, project: Project) -> None:
    owned = project.folder / "owned"
    project.edit(("name: tiny", f"name: !!python/object/apply:os.system [touch {owned}]"))
    assert ":1:7  name  the tag tag:yaml.org,2002:python/object/apply:os.system is not allowed" in refused(
        optkit, project
    )
    assert not owned.exists()


def test_three_mistakes_are_shown_at_once(optkit: Optkit, project: Project) -> None:
    project.edit(("opt: 4", "opt: four"), ("[simplify", "[simplfy"), ("max_drop", "max_dorp"))
    lines = refused(optkit, project).removeprefix("error: ").splitlines()
    places = [line.split("  ")[0] for line in lines]
    assert places == [f"{project.recipe}:{place}" for place in ("4:31", "10:9", "12:10")]


def test_an_alias_bomb_is_refused_at_once(optkit: Optkit, project: Project) -> None:
    levels = "\n".join(f"  l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 12))
    project.recipe.write_text(f"{ONNX_RECIPE}bomb:\n  l0: &l0 [1, 1]\n{levels}\n")
    assert "too many values (do aliases multiply?)" in refused(optkit, project)


def test_a_number_with_an_exponent_is_a_number(optkit: Optkit, project: Project) -> None:
    project.edit(("max_drop: 0.1", "max_drop: 1e-2"))
    assert optkit("plan", project.recipe).code == 0


def test_a_recipe_that_is_not_there(optkit: Optkit, tmp_path: Path) -> None:
    done = optkit("optimize", tmp_path / "recipe.yaml", code=2)
    assert "recipe.yaml  (whole file)  cannot be read: No such file or directory" in done.err


def test_a_recipe_that_is_a_folder(optkit: Optkit, tmp_path: Path) -> None:
    assert "is a directory" in optkit("optimize", tmp_path, code=2).err


OVERRIDES = {
    "no value": ("steps.quantize.ranges", "should read path=value"),
    "no such step": ("steps.quantise.ranges=kl", "did you mean 'quantize'?"),
    "no such option": ("steps.quantize.rangs=kl", "did you mean 'ranges'?"),
    "no such section": ("gate.top1.max_drop=1", "did you mean 'gates'?"),
    "wrong type": ("data.calibration.samples=many", 'should be a valid integer, not "many"'),
    "below a value": ("name.first=x", "is a value, not a section"),
}


@pytest.mark.parametrize(("override", "expected"), OVERRIDES.values(), ids=OVERRIDES)
def test_a_mistake_in_an_override(override: str, expected: str, optkit: Optkit, project: Project) -> None:
    said = refused(optkit, project, "--set", override)
    assert f"--set {override}" in said
    assert expected in said
