from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optkit.core.errors import UsageError
from optkit.measure.accuracy import compare
from optkit.measure.metrics.closeness import PeakSignalToNoise, SignalToNoise
from optkit.measure.metrics.f1 import F1
from optkit.measure.metrics.language import Perplexity
from optkit.measure.metrics.ranking import Auroc, AveragePrecision
from optkit.measure.metrics.segmentation import MeanIou
from optkit.measure.metrics.sequence import WordErrorRate, edit_distance
from optkit.measure.predictions import Predictions, Samples

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from optkit.measure.metrics.base import Metric

SPELLED = ("", " ", "a", "b", "c")


def ragged(values: Sequence[ArrayLike], dtype: str | None = None) -> Samples:
    arrays = [np.asarray(value, dtype) for value in values]
    shapes = np.array([array.shape for array in arrays], np.int64).reshape(len(arrays), arrays[0].ndim)
    return Samples(np.concatenate([array.ravel() for array in arrays]), shapes)


def of(outputs: Sequence[ArrayLike], labels: Sequence[ArrayLike], dtype: str | None = None) -> Predictions:
    return Predictions({"y": ragged(outputs, dtype)}, ragged(labels))


def value(metric: Metric, outputs: Sequence[ArrayLike], labels: Sequence[ArrayLike]) -> float:
    predictions = of(outputs, labels)
    return metric.scores(predictions, predictions).value


def test_noise_is_told_in_decibels() -> None:
    exact, near = np.ones((4, 10)), np.full((4, 10), 1.1)
    metric = SignalToNoise("y")
    reference = of(list(exact), [0] * 4)
    assert metric.scores(of(list(near), [0] * 4), reference).value == pytest.approx(20.0)
    assert metric.scores(reference, reference).value == 200.0
    assert value(PeakSignalToNoise("y"), list(near), list(exact)) == pytest.approx(20.0)
    assert value(PeakSignalToNoise("y", peak=10.0), list(near), list(exact)) == pytest.approx(40.0)
    assert value(PeakSignalToNoise("y"), list(exact), list(exact)) == 200.0
    with pytest.raises(UsageError, match="peak should be a number above 0, not 0"):
        value(PeakSignalToNoise("y", peak=0.0), list(near), list(exact))


words = st.lists(st.integers(0, 3), max_size=8)


def slow_distance(first: list[int], second: list[int]) -> int:
    if not first or not second:
        return len(first) + len(second)
    kept = slow_distance(first[1:], second[1:]) + (first[0] != second[0])
    return min(kept, 1 + slow_distance(first[1:], second), 1 + slow_distance(first, second[1:]))


@given(first=st.lists(st.integers(0, 2), max_size=5), second=st.lists(st.integers(0, 2), max_size=5))
def test_edit_distance_is_the_least_number_of_edits(first: list[int], second: list[int]) -> None:
    assert edit_distance(first, second) == slow_distance(first, second)


@given(first=words, second=words, third=words)
def test_edit_distance_is_a_distance(first: list[int], second: list[int], third: list[int]) -> None:
    assert edit_distance(first, second) == edit_distance(second, first)
    assert (edit_distance(first, second) == 0) == (first == second)
    assert edit_distance(first, third) <= edit_distance(first, second) + edit_distance(second, third)


def test_word_errors_of_tokens() -> None:
    assert value(WordErrorRate("y"), [[1, 2, 3], [4, 4]], [[1, 2, 4], [4, 4]]) == pytest.approx(1 / 5)
    # With a separator, 7 here, [1 2] and [3] are words.
    assert value(WordErrorRate("y", separator=7), [[1, 2, 7, 3], [7]], [[1, 5, 7, 3], [3]]) == pytest.approx(2 / 3)
    assert value(WordErrorRate("y"), [[1, -100]], [[1, 2]]) == pytest.approx(1 / 2)


def test_word_errors_of_logits_after_merging_repeats() -> None:
    heard = np.eye(4)[[1, 1, 0, 1, 2, 2]]
    assert value(WordErrorRate("y", blank=0), [heard], [[1, 1, 2]]) == 0.0
    assert value(WordErrorRate("y"), [heard], [[1, 1, 2]]) == pytest.approx(1.0)


def test_word_errors_of_text() -> None:
    text = [[ord(char) for char in said] for said in ("ab c", "c")]
    metric = WordErrorRate("y", blank=0, tokens=SPELLED)
    assert value(metric, [[2, 3, 1, 4], [4, 4]], text) == 0.0
    assert value(metric, [[2, 3, 4], [4]], text) == pytest.approx(2 / 3)  # "abc" for "ab c"
    with pytest.raises(UsageError, match="`tokens` spells 5 tokens, but output 'y' holds 9"):
        value(metric, [[9], [4]], text)


BROKEN: dict[str, tuple[Metric, Any, Any]] = {
    "f1": (F1("y"), np.eye(3)[np.arange(30) % 3], np.arange(30) % 3),
    "f1 of several": (F1("y"), np.eye(3)[np.arange(30) % 3], np.eye(3, dtype=int)[np.arange(30) % 3]),
    "auroc": (Auroc("y"), np.eye(3)[np.arange(30) % 3], np.arange(30) % 3),
    "miou": (MeanIou("y"), np.zeros((30, 2, 3, 3)), np.zeros((30, 3, 3), int)),
    "perplexity": (Perplexity("y"), np.zeros((30, 4, 5)), np.zeros((30, 4), int)),
    "wer": (WordErrorRate("y"), np.zeros((30, 4, 5)), np.zeros((30, 4), int)),
}


@pytest.mark.parametrize(("metric", "outputs", "labels"), BROKEN.values(), ids=BROKEN)
def test_one_nan_breaks_every_kind(metric: Metric, outputs: np.ndarray, labels: np.ndarray) -> None:
    broken = outputs.copy()
    broken[4] = np.nan
    result = compare("m", metric, of(list(outputs), list(labels)), of(list(broken), list(labels)))
    assert math.isfinite(result.baseline)
    assert all(map(math.isnan, (result.candidate, result.drop_lower, result.drop_upper, *result.candidate_bounds)))
    assert result.note == "the candidate's score of sample 4 is not a number; so it is with 1 of 30"


def test_classes_that_never_occur_have_no_value() -> None:
    same = of(list(np.eye(2)[[0] * 20]), [0] * 20)
    result = compare("m", Auroc("y"), same, same)
    assert math.isnan(result.drop_upper)
    assert result.note == "these 20 samples give no value"


def test_a_class_that_few_samples_have_leaves_no_bound() -> None:
    labels = [1, *[0] * 19]
    same = of(list(np.random.default_rng(0).normal(size=(20, 2))), labels)
    result = compare("m", Auroc("y"), same, same)
    assert (result.drop, result.drop_lower, result.drop_upper) == (0.0, -math.inf, math.inf)
    assert result.note == "20 samples are too few: some resamples give no value"


MISFITS: dict[str, tuple[Metric, Any, Any, str]] = {
    "scores for no classes": (Auroc("y"), np.zeros((3, 2)), np.zeros((3, 4), int), r"found shape \(2,\) and sh"),
    "labels that are no 0 and 1": (AveragePrecision("y"), np.zeros(3), [0, 2, 1], "a label of 0 or 1"),
    "pixels of another size": (MeanIou("y"), np.zeros((1, 3, 4, 4)), np.zeros((1, 8, 8), int), "in the size of"),
    "numbers of unknown classes": (MeanIou("y"), np.zeros((1, 4, 4)), np.zeros((1, 4, 4)), "add classes: N"),
    "a class that is not there": (
        MeanIou("y"), np.zeros((1, 3, 4, 4)), np.full((1, 4, 4), 3),
        "label of sample 0 holds something else than the numbers of 3 classes",
    ),
    "tokens beyond the vocabulary": (
        Perplexity("y"), np.zeros((1, 4, 5)), np.full((1, 4), 5), "sample 0 holds something else than the 5 tokens",
    ),
    "one token for many places": (Perplexity("y"), np.zeros((1, 4, 5)), np.zeros((1, 3)), "a token for each place"),
    "no sequence": (WordErrorRate("y"), np.zeros((1, 4, 5, 2)), np.zeros((1, 4)), "error rate needs tokens"),
}  # fmt: skip


@pytest.mark.parametrize(("metric", "outputs", "labels", "message"), MISFITS.values(), ids=MISFITS)
def test_outputs_and_labels_that_do_not_fit(metric: Metric, outputs: Any, labels: Any, message: str) -> None:  # noqa: ANN401  # arrays or lists
    with pytest.raises(UsageError, match=message):
        value(metric, list(outputs), list(labels))
