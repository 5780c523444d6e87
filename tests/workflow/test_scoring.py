from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from optkit.core.errors import UsageError
from optkit.core.gates import Gate, SliceGate, Status
from optkit.core.recipe import MetricUse
from optkit.data.slices import slice_by
from optkit.measure.metrics.accuracy import Accuracy, Agreement
from optkit.measure.metrics.f1 import F1
from optkit.measure.predictions import Predictions, PredictionsWriter, read_predictions
from optkit.workflow.judging import verdicts
from optkit.workflow.scoring import metric_result

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

COUNT = 600
LABELS = np.arange(COUNT) % 3
TOP1 = MetricUse("top1", "accuracy", Accuracy("y"), "evaluation")


def predictions(folder: Path, decided: NDArray[np.int64], labels: NDArray[np.int64] | None = LABELS) -> Predictions:
    folder.mkdir()
    regions = {"region": slice_by(np.where(np.arange(COUNT) < 500, "eu", "us"), "region")}
    with PredictionsWriter(folder, ["y"], labels=labels is not None, slices=regions) as writer:
        writer.add({"y": np.eye(3)[decided]}, labels)
    return read_predictions(folder)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Predictions, Predictions]:
    """A candidate that loses a fifth of class 2, and nothing else."""
    wrong = (LABELS == 2) & (np.arange(COUNT) // 3 % 5 == 0)
    return predictions(tmp_path / "a", LABELS), predictions(tmp_path / "b", np.where(wrong, 0, LABELS))


def statuses(gate: Gate, pair: tuple[Predictions, Predictions], classes: tuple[str, ...] = ()) -> dict[str, Status]:
    result = metric_result(TOP1, *pair, gate, classes)
    judged = verdicts({"top1": gate}, [result], 1.0, "not timed", "not timed")
    return {verdict.title: verdict.status for verdict in judged}


def test_a_class_that_is_lost_is_caught_where_the_whole_is_not(pair: tuple[Predictions, Predictions]) -> None:
    gate = Gate(max_drop=0.1, each={"label": SliceGate(max_drop=0.1)})
    assert statuses(gate, pair) == {
        "top1.max_drop": Status.PASSED,
        "top1[label=0].max_drop": Status.PASSED,
        "top1[label=1].max_drop": Status.PASSED,
        "top1[label=2].max_drop": Status.FAILED,
    }


def test_slices_have_the_names_of_the_classes_and_absent_ones_are_unmeasured(
    pair: tuple[Predictions, Predictions],
) -> None:
    gate = Gate(each={"label": SliceGate(min=0.7)})
    found = statuses(gate, pair, ("cat", "dog", "cow", "elk"))
    assert found["top1[label=cow].min"] is Status.PASSED
    assert found["top1[label=elk].min"] is Status.UNMEASURED


def test_a_small_slice_is_inconclusive_and_says_what_it_takes(pair: tuple[Predictions, Predictions]) -> None:
    gate = Gate(each={"region": SliceGate(max_drop=0.1, inconclusive="pass")})
    result = metric_result(TOP1, *pair, gate)
    assert [(part.title, part.samples) for part in result.slices] == [("region=eu", 500), ("region=us", 100)]
    eu, us = verdicts({"top1": gate}, [result], 1.0, "not timed", "not timed")
    assert (eu.status, us.status, us.accepted) == (Status.PASSED, Status.INCONCLUSIVE, True)
    needed = result.slices[1].drop.samples_needed
    assert needed is not None
    assert us.reason == f"about {needed - 100} more samples would settle it, {needed} in all"


def test_a_metric_that_a_slice_is_too_small_for(tmp_path: Path) -> None:
    labels = np.where(np.arange(COUNT) < 4, 0, 1 + np.arange(COUNT) % 2)
    same = predictions(tmp_path / "a", labels, labels)
    gate = Gate(each={"label": SliceGate(max_drop=0.1)})
    result = metric_result(MetricUse("f1", "f1", F1("y"), "evaluation"), same, same, gate)
    small, *_ = verdicts({"f1": gate}, [result], 1.0, "not timed", "not timed")
    assert (small.title, small.status) == ("f1[label=0].max_drop", Status.INCONCLUSIVE)
    assert small.reason == "4 samples are too few for a bound: at least 10 are needed"


def test_one_sided_bounds_judge_the_value(pair: tuple[Predictions, Predictions]) -> None:
    result = metric_result(TOP1, *pair, Gate(min=0.92))
    assert result.value is not None
    assert result.candidate.lower < result.value.lower < result.value.value < result.value.upper
    assert result.value.samples_needed is not None
    assert result.value.samples_needed > COUNT


def test_relative_metrics_have_no_value_of_the_baseline(tmp_path: Path) -> None:
    same = predictions(tmp_path / "a", LABELS, None)
    result = metric_result(MetricUse("same", "agreement", Agreement("y"), "evaluation"), same, same, Gate())
    assert result.baseline is None


def test_nan_says_which_sample(tmp_path: Path, pair: tuple[Predictions, Predictions]) -> None:
    broken = np.eye(3)[LABELS]
    broken[7] = math.nan
    (tmp_path / "nan").mkdir()
    with PredictionsWriter(tmp_path / "nan", ["y"], labels=True) as writer:
        writer.add({"y": broken}, LABELS)
    result = metric_result(TOP1, pair[0], read_predictions(tmp_path / "nan"), Gate(max_drop=1.0))
    (verdict,) = verdicts({"top1": Gate(max_drop=1.0)}, [result], 1.0, "not timed", "not timed")
    assert verdict.status is Status.FAILED
    assert verdict.reason == "the candidate's score of sample 7 is not a number; so it is with 1 of 600"


def test_slices_that_are_not_there(pair: tuple[Predictions, Predictions]) -> None:
    with pytest.raises(UsageError, match="the dataset has no slices 'regio'\ndid you mean 'region'"):
        metric_result(TOP1, *pair, Gate(each={"regio": SliceGate(min=0.1)}))


def test_labels_that_are_no_classes_make_no_slices(tmp_path: Path) -> None:
    same = predictions(tmp_path / "a", LABELS, np.eye(3, dtype=np.int64)[LABELS])
    with pytest.raises(UsageError, match="slices by label need one whole number per sample"):
        metric_result(MetricUse("f1", "f1", F1("y"), "evaluation"), same, same, Gate(each={"label": SliceGate()}))
