"""Gates on slices, and a metric of the user's own, from the recipe to the reports."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from tests.cli.outcome import junit
from tests.cli.project import data, write_data

if TYPE_CHECKING:
    from tests.cli.command import Optkit
    from tests.cli.project import Project

METRICS = """\
metrics:
  top1: {kind: accuracy, output: logits}
  f1: {kind: f1, output: logits}
  own: {kind: python, output: logits, function: "own.py:right"}
"""
GATES = """\
gates:
  top1: {max_drop: 0.1, each: {label: {max_drop: 0.3}, region: {max_drop: 0.1}}}
  f1: {min: 0.5}
  own: {min: 0.5}
"""
OWN = "def right(outputs, labels):\n    return outputs.argmax(axis=1) == labels\n"


def sliced(project: Project) -> None:
    text = project.recipe.read_text()
    head, rest = text[: text.index("metrics:")], text[text.index("steps:") :]
    steps, tail = rest[: rest.index("gates:")], rest[rest.index("measure:") :]
    project.recipe.write_text(head + METRICS + steps + GATES + tail)
    (project.folder / "own.py").write_text(OWN)
    regions = np.where(np.arange(400) < 8, "islands", "mainland")
    write_data(project.folder / "evaluation.npz", {**data(seed=5, count=400), "slice.region": regions})


def test_each_slice_is_judged_and_named(optkit: Optkit, project: Project) -> None:
    sliced(project)
    out = project.folder.parent / "out"
    done = optkit("optimize", project.recipe, "-o", out, code=3)
    assert "quantize: top1[region=islands].max_drop 0.1: inconclusive, measured 0" in done.err
    assert "more samples would settle it" in done.err
    cases = {case.get("name"): case.find("failure") is not None for case in junit(out).iter("testcase")}
    labels = {f"top1[label={label}].max_drop": False for label in range(4)}
    regions = {"top1[region=islands].max_drop": True, "top1[region=mainland].max_drop": False}
    assert cases == {"top1.max_drop": False, **labels, **regions, "f1.min": False, "own.min": False}
    assert "top1\\[each label\\].max\\_drop" in (out / "summary.md").read_text()
    top1, _, own = json.loads((out / "report.json").read_text())["candidates"][0]["metrics"]
    assert [part["samples"] for part in top1["slices"][4:]] == [8, 392]
    assert own["candidate"] == top1["candidate"]


def test_slices_that_the_dataset_lacks_are_refused_before_any_work(optkit: Optkit, project: Project) -> None:
    sliced(project)
    project.edit(("region:", "regions:"))
    said = optkit("optimize", project.recipe, "-o", project.folder.parent / "out", code=2).err
    assert "metrics.top1: the dataset has no slices 'regions'\n" in said
    assert "did you mean 'region'" in said
    assert "running" not in said


def test_a_function_that_raises_is_blamed_at_its_line(optkit: Optkit, project: Project) -> None:
    sliced(project)
    (project.folder / "own.py").write_text("def right(outputs, labels):\n    return outputs + undefined\n")
    said = optkit("optimize", project.recipe, "-o", project.folder.parent / "out", code=5).err
    assert "metrics.own: own.py:2 in right: NameError: name 'undefined' is not defined" in said
    assert "Traceback" not in said


def test_eval_shows_slices(optkit: Optkit, project: Project) -> None:
    sliced(project)
    model = project.folder / "model.onnx"
    said = optkit(
        "eval", model, model, "--data", project.folder / "evaluation.npz", "--output", "logits", "--metric", "f1",
        "--each", "region",
    ).out  # fmt: skip
    assert "f1[region=islands]" in said
    assert "f1[region=mainland]" in said
