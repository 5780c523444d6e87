"""Metrics that call somebody else's code: the user's function, and torchmetrics."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from optkit.core.errors import StepFailed, UsageError
from optkit.measure.accuracy import compare
from optkit.measure.metrics.accuracy import Accuracy
from optkit.measure.metrics.function import Python
from optkit.measure.metrics.library import TorchMetrics
from optkit.measure.metrics.whole import Whole
from optkit.measure.predictions import Predictions, Samples
from optkit.measure.scores import Sums

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import ArrayLike

    from optkit.measure.metrics.base import Metric

CODE = """
def right(outputs, labels):
    return outputs.argmax(axis=1) == labels

def score(outputs, labels):
    return 1.0 * right(outputs, labels)

def share(outputs, labels):
    return (outputs.argmax(axis=1) == labels).mean()

def table(outputs, labels):
    return outputs

def words(outputs, labels):
    return "good"

def unlabelled(outputs, labels):
    return [len(outputs)] * len(outputs) if labels is None else None

def ragged(outputs, labels):
    return [array.sum() for array in outputs]

def broken(outputs, labels):
    return outputs[:, 0] / outputs[:, 0]

def raises(outputs, labels):
    raise ValueError("only two classes, please")
"""


@pytest.fixture
def mine(tmp_path: Path) -> Callable[..., Python]:
    (tmp_path / "own.py").write_text(CODE)
    return lambda name, **options: Python("y", function=f"{tmp_path}/own.py:{name}", **options)


def of(outputs: ArrayLike, labels: ArrayLike | None = None) -> Predictions:
    def samples(values: ArrayLike) -> Samples:
        array = np.asarray(values)
        return Samples(array.reshape(-1), np.tile(np.array(array.shape[1:], np.int64), (len(array), 1)))

    return Predictions({"y": samples(outputs)}, None if labels is None else samples(labels))


def two_models(count: int = 60) -> tuple[Predictions, Predictions]:
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, count)
    logits = random.normal(size=(count, 3)) + 2 * np.eye(3)[labels]
    return of(logits, labels), of(logits + random.normal(0, 1.0, (count, 3)), labels)


def test_a_number_for_each_sample_and_one_for_all_agree(mine: Callable[..., Python]) -> None:
    each, whole = (compare("m", mine(name), *two_models()) for name in ("score", "share"))
    known, right = (compare("m", metric, *two_models()) for metric in (Accuracy("y"), mine("right")))
    assert right == known
    assert each.candidate == whole.candidate == known.candidate
    assert each.drop == pytest.approx(whole.drop, abs=1e-12) == pytest.approx(known.drop, abs=1e-12)
    for bound in ("drop_lower", "drop_upper"):
        assert getattr(each, bound) == pytest.approx(getattr(whole, bound), abs=0.02)  # they draw in different ways


def test_lower_may_be_better(mine: Callable[..., Python]) -> None:
    higher, lower = (compare("m", mine("right", better=better), *two_models()) for better in ("higher", "lower"))
    assert lower.drop == -higher.drop != 0


def test_labels_may_be_absent_and_shapes_may_vary(mine: Callable[..., Python]) -> None:
    assert mine("unlabelled").scores(of(np.zeros((4, 2))), of(np.zeros((4, 2)))).value == 4.0
    varying = Predictions({"y": Samples(np.arange(5.0), np.array([[2], [3]]))}, None)
    assert mine("ragged").scores(varying, varying).rows.tolist() == [1.0, 9.0]


MISTAKES = {
    "nope": (UsageError, "own.py defines no function 'nope'"),
    "table": (
        UsageError,
        r"own.py:table returned shape \(60, 3\) for 60 samples\nit should return one number for each",
    ),
    "words": (UsageError, "own.py:words returned str, which is no number"),
    "raises": (StepFailed, "own.py:27 in raises: ValueError: only two classes, please"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_one_sentence(name: str, mine: Callable[..., Python]) -> None:
    kind, message = MISTAKES[name]
    with pytest.raises(kind, match=message):
        compare("m", mine(name), *two_models())


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(UsageError, match=r"function nowhere\.py:f: no such file"):
        compare("m", Python("y", function="nowhere.py:f"), *two_models())


def test_nan_is_said_and_never_good_enough(mine: Callable[..., Python]) -> None:
    outputs = np.ones((20, 2))
    outputs[3, 0] = np.nan
    result = compare("m", mine("broken"), of(np.ones((20, 2))), of(outputs))
    assert result.baseline == 1.0
    assert math.isnan(result.drop_upper)
    assert result.note == "the candidate's score of sample 3 is not a number; so it is with 1 of 20"


def test_states_that_add_up_are_resampled_as_sums() -> None:
    metric = TorchMetrics("y", metric="classification.MulticlassCohenKappa", arguments={"num_classes": 3})
    before, after = two_models()
    scores = metric.scores(after, before)
    assert isinstance(scores, Sums)
    drawn = np.random.default_rng(0).integers(0, 60, 60)
    weights = np.bincount(drawn, minlength=60).astype(float)
    again = metric.scores(of(np.array(after.outputs["y"])[drawn], np.array(after.labels)[drawn]), before)
    assert scores.values(weights[None])[0] == pytest.approx(again.value, rel=1e-6)
    result = compare("kappa", metric, before, after)
    assert result.drop_lower < result.drop < result.drop_upper


def test_states_that_do_not_add_up_are_computed_anew() -> None:
    outputs, labels = np.random.default_rng(0).random((30, 1)), np.arange(30) % 2
    metric = TorchMetrics("y", metric="classification.BinaryAUROC")
    flat = of(outputs[:, 0], labels)
    scores = metric.scores(flat, flat)
    assert isinstance(scores, Whole)
    assert scores.value == pytest.approx(float(metric.scores(flat, flat).values(np.ones((1, 30)))[0]))
    assert scores.only(np.arange(20)).values(np.ones((1, 20)))[0] != scores.value


TORCH: dict[str, tuple[dict[str, Any], str]] = {
    "none of that name": ({"metric": "classification.Nope"}, "torchmetrics has no metric 'classification.Nope'"),
    "no metric": ({"metric": "functional.accuracy"}, "torchmetrics has no metric 'functional.accuracy'"),
    "options that it needs": ({"metric": "classification.MulticlassCohenKappa"}, "num_classes"),
    "another shape": ({"metric": "classification.BinaryF1Score"}, "torchmetrics.classification.BinaryF1Score does not"),
    "several numbers": (
        {"metric": "classification.MulticlassF1Score", "arguments": {"num_classes": 3, "average": "none"}},
        "does not give one number",
    ),
}


@pytest.mark.parametrize(("options", "message"), TORCH.values(), ids=TORCH)
def test_what_torchmetrics_cannot_do(options: dict[str, Any], message: str) -> None:
    metric: Metric = TorchMetrics("y", **options)
    with pytest.raises(UsageError, match=message):
        compare("m", metric, *two_models(12))


def test_which_way_it_improves() -> None:
    assert TorchMetrics("y", metric="classification.BinaryF1Score").sign == 1
    assert TorchMetrics("y", metric="MeanSquaredError").sign == -1
    assert TorchMetrics("y", metric="MeanSquaredError", better="higher").sign == 1
    with pytest.raises(UsageError, match="does not say which way MeanMetric improves\nadd better: higher"):
        assert TorchMetrics("y", metric="MeanMetric").sign
