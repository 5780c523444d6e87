from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.cli.project import Project, data, write_data

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.command import Optkit
    from tests.cli.outcome import Attempt

Arrays = dict[str, NDArray[np.generic]]


class Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = str(target)

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (self.target,)


def changed(arrays: Arrays, name: str, value: object, *, dtype: str | None = None) -> Arrays:
    """Returns the arrays with one that is changed at its third sample."""
    array = np.array(arrays[name], dtype)
    array[2] = value
    return {**arrays, name: array}


GOOD = data(seed=3, count=40)
CALIBRATION = {
    "no samples": ({name: array[:0] for name, array in GOOD.items()}, "calibration.npz: holds no samples"),
    "too few samples": (
        {name: array[:4] for name, array in GOOD.items()},
        "quantize: the calibration data holds 4 samples; at least 8 are needed",
    ),
    "another input": ({"y": GOOD["x"]}, "quantize: the model needs 'x', which the dataset does not offer"),
    "another width": ({"x": GOOD["x"][:, :5]}, "input 'x' has shape [8, 5], the model wants [batch, 8]"),
    "numbers that do not fit": (
        {"x": np.divide(GOOD["x"], 3.0, dtype=np.float64)},
        "input 'x' is float64, the model wants float32",
    ),
    "nan": (changed(GOOD, "x", np.nan), "calibration.npz, row 2, input `x`: holds NaN"),
    "infinity": (changed(GOOD, "x", -np.inf), "quantize: calibration sample 2: input 'x' holds NaN or infinity"),
    "rows that differ": ({"x": GOOD["x"], "labels": GOOD["labels"][:7]}, "the numbers of rows differ: x 40, labels 7"),
}


@pytest.mark.parametrize(("arrays", "expected"), CALIBRATION.values(), ids=CALIBRATION)
def test_calibration_data_that_does_not_fit(arrays: Arrays, expected: str, attempt: Attempt, project: Project) -> None:
    write_data(project.folder / "calibration.npz", arrays)
    assert expected in attempt(project, 2)


def test_more_samples_are_asked_for_than_there_are(attempt: Attempt, project: Project) -> None:
    said = attempt(project, 2, "--set", "data.calibration.samples=33")
    assert "33 samples are asked for, but there are 32" in said


EVALUATION = {
    "a label above the classes": (
        changed(GOOD, "labels", 9),
        "metrics.top1: label 9 of sample 2 is out of range: the model has 4 classes (0 to 3)",
    ),
    "a label below the classes": (
        changed(GOOD, "labels", -1),
        "metrics.top1: label -1 of sample 2 is out of range: the model has 4 classes (0 to 3)",
    ),
    "a label between classes": (
        changed(GOOD, "labels", 0.5, dtype="f4"),
        "accuracy needs one whole number per sample as its label",
    ),
    "no labels": ({"x": GOOD["x"]}, "needs labels, and the dataset has none"),
    "labels that are no classes": (
        {**GOOD, "labels": GOOD["x"]},
        "accuracy needs one whole number per sample as its label",
    ),
    "no samples": ({name: array[:0] for name, array in GOOD.items()}, "holds no samples"),
}


@pytest.mark.parametrize(("arrays", "expected"), EVALUATION.values(), ids=EVALUATION)
def test_evaluation_data_that_does_not_fit(arrays: Arrays, expected: str, attempt: Attempt, project: Project) -> None:
    write_data(project.folder / "evaluation.npz", arrays)
    assert expected in attempt(project, 2)


METRICS = {
    "an output that is not there": ("{kind: accuracy, output: logit}", "the model has no output logit"),
    "more places than classes": ("{kind: accuracy, output: logits, k: 5}", "k is 5, but output 'logits' has 4 classes"),
    "four numbers for one": (
        "{kind: correlation, output: logits}",
        "metrics.top1: correlation needs one number per sample in output 'logits'",
    ),
    "labels of another shape": (
        "{kind: mse, output: logits}",
        "metrics.top1: output 'logits' has shape (4,) per sample, the label has ()",
    ),
}


@pytest.mark.parametrize(("metric", "expected"), METRICS.values(), ids=METRICS)
def test_a_metric_that_does_not_fit_the_output(metric: str, expected: str, attempt: Attempt, project: Project) -> None:
    project.edit(("{kind: accuracy, output: logits}", metric))
    assert expected in attempt(project, 2)


def test_an_archive_that_runs_code_is_refused_and_not_run(attempt: Attempt, project: Project, tmp_path: Path) -> None:
    owned = tmp_path / "owned"
    write_data(project.folder / "calibration.npz", {"x": np.array([Payload(owned)] * 40, dtype=object)})
    assert "array `x`: holds Python objects, which can run code when read" in attempt(project, 2)
    assert not owned.exists()
    np.load(project.folder / "calibration.npz", allow_pickle=True)["x"]
    assert owned.exists()


@pytest.mark.parametrize("cut", [0, 100, -30])
def test_an_archive_that_is_cut(cut: int, attempt: Attempt, project: Project) -> None:
    path = project.folder / "evaluation.npz"
    path.write_bytes(path.read_bytes()[:cut])
    assert "evaluation.npz: no .npz archive" in attempt(project, 2)


def test_calibration_and_evaluation_with_the_same_name(attempt: Attempt, project: Project) -> None:
    project.edit(("calibration.npz", "evaluation.npz"))
    said = attempt(project, 2)
    assert "data.calibration and data.evaluation share 200 of their samples" in said
    assert "give each its own split" in said


def test_a_metric_that_judges_on_calibration_data(attempt: Attempt, project: Project) -> None:
    project.edit(("output: logits}", "output: logits, data: calibration}"))
    assert "data.calibration is what quantize chooses by, and what a metric judges on" in attempt(project, 2)


def test_calibration_and_evaluation_with_the_same_content(attempt: Attempt, project: Project) -> None:
    arrays = dict(np.load(project.folder / "calibration.npz"))
    seen = np.load(project.folder / "evaluation.npz")
    arrays["x"][5], arrays["labels"][5] = seen["x"][117], seen["labels"][117]
    write_data(project.folder / "calibration.npz", arrays)
    assert "data.calibration and data.evaluation share 1 of their samples" in attempt(project, 2)


MANIFEST = """\
name: tiny-data
files: {evaluation.npz: {}}
reader: {npz: {}}
splits:
  first: {rows: [0, 100]}
  second: {rows: [100, 200]}
inputs: {x: {}}
labels: {column: labels, classes: [a, b, c, d]}
"""


def with_splits(project: Project, first: str, second: str) -> None:
    """Makes the project read both parts from one dataset."""
    (project.folder / "dataset.yaml").write_text(MANIFEST)
    project.edit(
        ("{dataset: calibration.npz}", f"{{dataset: ., split: {first}}}"),
        ("{dataset: evaluation.npz}", f"{{dataset: ., split: {second}}}"),
    )


def test_two_splits_of_one_dataset(optkit: Optkit, project: Project) -> None:
    with_splits(project, "first", "second")
    out = project.folder.parent / "out"
    optkit("optimize", project.recipe, "-o", out)
    assert (out / "triton" / "tiny" / "labels-logits.txt").read_text().split() == ["a", "b", "c", "d"]


def test_one_split_for_both(attempt: Attempt, project: Project) -> None:
    with_splits(project, "second", "second")
    assert "data.calibration and data.evaluation share 100 of their samples" in attempt(project, 2)


def test_a_split_that_is_not_there(attempt: Attempt, project: Project) -> None:
    with_splits(project, "first", "secnd")
    said = attempt(project, 2)
    assert "dataset tiny-data has no split `secnd`" in said
    assert "did you mean 'second'?" in said


def test_data_that_is_not_what_the_manifest_says(attempt: Attempt, project: Project) -> None:
    with_splits(project, "first", "second")
    project.edit(("evaluation.npz: {}", f"evaluation.npz: {{sha256: {'f' * 64}}}"), file="dataset.yaml")
    said = attempt(project, 2)
    assert "evaluation.npz: its sha256 is not the one in dataset.yaml" in said
    assert f"expected {'f' * 64}" in said


def test_a_mistake_in_a_manifest_is_shown_at_its_place(attempt: Attempt, project: Project) -> None:
    with_splits(project, "first", "second")
    project.edit(("reader:", "readr:"), file="dataset.yaml")
    said = attempt(project, 2)
    assert "dataset.yaml:3:1  readr  unknown key  (did you mean 'reader'?)" in said
    assert "reader  is missing" in said
