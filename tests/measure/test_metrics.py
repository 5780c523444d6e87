from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydantic import TypeAdapter, ValidationError
from scipy import stats

from optkit.core.errors import StepFailed, UsageError
from optkit.core.schema import json_schema
from optkit.measure.metrics import METRICS
from optkit.measure.metrics.accuracy import Accuracy, Agreement
from optkit.measure.metrics.closeness import Cosine, MeanSquaredError
from optkit.measure.metrics.correlation import Columns, Correlation
from optkit.measure.predictions import Predictions, Samples

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike

    from optkit.measure.metrics.base import Metric
    from tests.measure.conftest import MakePredictions


def _in_memory(scores: ArrayLike, labels: ArrayLike | None = None) -> Predictions:
    def samples(values: ArrayLike) -> Samples:
        array = np.asarray(values)
        return Samples(array.reshape(-1), np.tile(np.array(array.shape[1:], np.int64), (len(array), 1)))

    return Predictions({"y": samples(scores)}, None if labels is None else samples(labels))


def _scores(metric: Metric, ours: Predictions, theirs: Predictions | None = None) -> list[float]:
    return [float(score) for score in metric.scores(ours, theirs or ours).rows]


def test_accuracy_at_one_and_at_two() -> None:
    given_scores = _in_memory([[1.0, 3.0, 2.0]] * 3, [1, 2, 0])
    assert _scores(Accuracy("y"), given_scores) == [1, 0, 0]
    assert _scores(Accuracy("y", k=2), given_scores) == [1, 1, 0]


def test_class_scores_may_keep_the_axes_of_a_pool() -> None:
    flat = _in_memory([[1.0, 3.0], [2.0, 0.0]], [1, 1])
    pooled = _in_memory([[[[1.0]], [[3.0]]], [[[2.0]], [[0.0]]]], [1, 1])
    assert _scores(Accuracy("y"), pooled) == _scores(Accuracy("y"), flat) == [1, 0]
    assert _scores(Agreement("y"), pooled, flat) == [1, 1]
    with pytest.raises(UsageError, match=r"shape \(2, 1, 2\) per sample"):
        _scores(Accuracy("y"), _in_memory(np.zeros((3, 2, 1, 2)), [0, 1, 0]))


@given(
    scores=arrays(np.float32, (6, 4), elements=st.integers(-2, 2).map(float)),
    labels=arrays(np.int64, 6, elements=st.integers(0, 3)),
)
def test_accuracy_is_argmax_also_where_scores_tie(scores: np.ndarray, labels: np.ndarray) -> None:
    expected = (scores.argmax(axis=1) == labels).astype(float)
    assert _scores(Accuracy("y"), _in_memory(scores, labels)) == list(expected)
    assert _scores(Accuracy("y", k=4), _in_memory(scores, labels)) == [1.0] * 6


@pytest.mark.parametrize("metric", [Accuracy("y"), Agreement("y"), Cosine("y")])
def test_nan_is_never_right(metric: Metric) -> None:
    broken = _in_memory([[np.nan, np.nan], [0.0, np.nan], [1.0, 0.5]], [0, 0, 0])
    scores = _scores(metric, broken)
    assert np.isnan(scores[:2]).all()
    assert scores[2] == pytest.approx(1.0)


def test_nan_in_the_baseline_shows_in_agreement() -> None:
    assert np.isnan(_scores(Agreement("y"), _in_memory([[1.0, 0.0]]), _in_memory([[np.nan, 0.0]]))).all()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1, 5], r"label 5 of sample 2 is out of range: the model has 3 classes \(0 to 2\)"),
        ([0, -1, 1], "label -1 of sample 1 is out of range"),
        ([0, 0.5, 1], "needs one whole number per sample"),
        ([0, np.nan, 1], "needs one whole number per sample"),
        ([[0], [1], [2]], "needs one whole number per sample"),
        (None, "needs labels, and the dataset has none\nuse `agreement`, `cosine` or `sqnr`"),
    ],
)
def test_labels_that_do_not_fit(labels: ArrayLike | None, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Accuracy("y").scores(_in_memory(np.eye(3), labels), _in_memory(np.eye(3)))


@pytest.mark.parametrize("shape", [(3,), (3, 1), (3, 2, 2)])
@pytest.mark.parametrize("metric", [Accuracy("y"), Agreement("y")])
def test_outputs_without_a_class_axis(metric: Metric, shape: tuple[int, ...]) -> None:
    outputs = _in_memory(np.zeros(shape), [0, 0, 0])
    with pytest.raises(UsageError, match=r"output 'y' has shape \(.*\) per sample; one score for each"):
        metric.scores(outputs, outputs)


def test_outputs_of_varying_shape_have_no_classes(predictions: MakePredictions) -> None:
    ragged = predictions([np.zeros(2), np.zeros(3)], [0, 0])
    with pytest.raises(UsageError, match="has shapes that differ per sample"):
        Accuracy("y").scores(ragged, ragged)


def test_k_beyond_the_classes_and_unknown_output() -> None:
    with pytest.raises(UsageError, match="k is 4, but output 'y' has 3 classes"):
        Accuracy("y", k=4).scores(_in_memory(np.eye(3), [0, 1, 2]), _in_memory(np.eye(3)))
    with pytest.raises(UsageError, match="no output 'z' to score\nknown: y"):
        Accuracy("z").scores(_in_memory(np.eye(3), [0, 1, 2]), _in_memory(np.eye(3)))


def test_agreement_compares_with_the_baseline() -> None:
    ours, theirs = _in_memory([[1.0, 2.0], [2.0, 1.0]]), _in_memory([[0.0, 9.0], [0.0, 9.0]])
    assert _scores(Agreement("y"), ours, theirs) == [1, 0]


def test_cosine_of_sequences(predictions: MakePredictions) -> None:
    ours = predictions([np.array([1.0, 0.0]), np.array([1.0, 1.0, 0.0]), np.zeros(1)])
    theirs = predictions([np.array([0.0, 2.0]), np.array([3.0, 3.0, 0.0]), np.zeros(1)])
    assert _scores(Cosine("y"), ours, theirs) == pytest.approx([0, 1, 1], abs=1e-12)
    with pytest.raises(StepFailed, match=r"output 'y' has shape \(2,\) where the baseline's has \(3,\)"):
        Cosine("y").scores(predictions([np.zeros(2)]), predictions([np.zeros(3)]))


def test_a_dead_output_is_not_similar() -> None:
    assert _scores(Cosine("y"), _in_memory([[0.0, 0.0]]), _in_memory([[1.0, 0.0]])) == [0.0]


def test_mean_squared_error() -> None:
    assert _scores(MeanSquaredError("y"), _in_memory([[1.0, 2.0], [0.0, 0.0]], [[1, 0], [3, 3]])) == [2, 9]
    assert _scores(MeanSquaredError("y"), _in_memory([[1.0], [4.0]], [2.0, 4.0])) == [1, 0]
    with pytest.raises(UsageError, match=r"output 'y' has shape \(2,\) per sample, the label has \(3,\)"):
        MeanSquaredError("y").scores(_in_memory(np.zeros((1, 2)), np.zeros((1, 3))), _in_memory(np.zeros((1, 2))))


@pytest.mark.parametrize(("method", "reference"), [("pearson", stats.pearsonr), ("spearman", stats.spearmanr)])
def test_correlation_is_scipys(method: Literal["pearson", "spearman"], reference: Callable[..., Any]) -> None:
    random = np.random.default_rng(0)
    outputs, labels = random.normal(size=(40, 1)), random.integers(0, 6, 40)
    metric = Correlation("y", method=method)
    value = metric.scores(_in_memory(outputs, labels), _in_memory(outputs)).value
    assert value == pytest.approx(reference(outputs[:, 0], labels).statistic, abs=1e-12)


def test_correlation_of_constants_and_nan_is_nan() -> None:
    assert np.isnan(Columns(np.ones((5, 2)), "pearson").value)
    assert np.isnan(Columns(np.array([[1.0, 2.0], [np.nan, 1.0], [2.0, 3.0]]), "spearman").value)
    assert np.isnan(Columns(np.array([[1.0, 2.0], [np.inf, 1.0], [2.0, 3.0]]), "spearman").value)


@pytest.mark.parametrize("labels", [None, np.zeros((4, 2))])
def test_correlation_needs_one_number_each(labels: ArrayLike | None) -> None:
    with pytest.raises(UsageError, match=r"one number per sample|needs labels"):
        Correlation("y").scores(_in_memory(np.zeros((4, 1)), labels), _in_memory(np.zeros((4, 1))))


NEEDED = {"python": {"function": "own.py:score"}, "torchmetrics": {"metric": "MeanSquaredError"}}


@pytest.mark.parametrize("kind", METRICS)
def test_options_are_the_schema(kind: str) -> None:
    adapter, options = TypeAdapter(METRICS[kind]), {"output": "y", **NEEDED.get(kind, {})}
    assert json_schema(METRICS[kind])["properties"]["output"]["description"]
    assert adapter.validate_json(json.dumps(options)) == METRICS[kind](**options)
    with pytest.raises(ValidationError, match="outptu"):
        adapter.validate_json(json.dumps({**options, "outptu": "z"}))
