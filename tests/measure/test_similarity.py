from __future__ import annotations

import math
from itertools import combinations
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from optkit.core.errors import UsageError
from optkit.measure.accuracy import compare
from optkit.measure.metrics.correlation import Columns, Similarity
from optkit.measure.pairs import scored_pairs
from optkit.measure.predictions import Predictions, Samples
from optkit.measure.resampling import Pairs, Rows
from optkit.measure.statistics import bootstrap_intervals

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, NDArray

    Scored = list[tuple[int, int, float]]


def ragged(rows: Sequence[ArrayLike]) -> Samples:
    arrays = [np.asarray(row, np.float64) for row in rows]
    return Samples(np.concatenate([array.ravel() for array in arrays]), np.array([array.shape for array in arrays]))


def labels_of(scored: Scored, count: int) -> list[list[list[float]]]:
    """Returns each sample's pairs; a sample without any gets a row of padding."""
    found: list[list[list[float]]] = [[] for _ in range(count)]
    for number, (first, second, score) in enumerate(scored):
        found[first].append([number, score])
        found[second].append([number, score])
    return [rows or [[-1.0, 0.0]] for rows in found]


def judged(vectors: NDArray[Any], scored: Scored) -> Predictions:
    return Predictions({"y": ragged(list(vectors))}, ragged(labels_of(scored, len(vectors))))


def drawn(count: int, width: int = 5, seed: int = 0) -> tuple[NDArray[Any], Scored]:
    """Returns vectors, and all pairs of them with noisy cosines as what people said."""
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(count, width))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors, [
        (first, second, float(unit[first] @ unit[second] + random.normal(0, 0.3)))
        for first, second in combinations(range(count), 2)
    ]


@pytest.mark.parametrize(("method", "reference"), [("pearson", stats.pearsonr), ("spearman", stats.spearmanr)])
def test_it_is_scipys_correlation_of_cosines_and_scores(
    method: Literal["pearson", "spearman"], reference: Callable[..., Any]
) -> None:
    vectors, scored = drawn(9)
    metric = Similarity("y", method)
    scores = metric.scores(judged(vectors, scored), judged(vectors, scored))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = [unit[first] @ unit[second] for first, second, _ in scored]
    assert scores.value == pytest.approx(reference(cosines, [pair[2] for pair in scored])[0], abs=1e-12)


@given(st.data())
def test_the_order_and_the_lengths_of_outputs_do_not_matter(data: st.DataObject) -> None:
    vectors, scored = drawn(8, seed=data.draw(st.integers(0, 9)))
    order = data.draw(st.permutations(range(8)))
    place = {sample: position for position, sample in enumerate(order)}
    stretch = np.array(data.draw(st.lists(st.floats(0.1, 10), min_size=8, max_size=8)))
    moved = judged(
        (vectors * stretch[:, None])[list(order)], [(place[first], place[second], s) for first, second, s in scored]
    )
    metric = Similarity("y")
    plain = judged(vectors, scored)
    assert metric.scores(moved, moved).value == pytest.approx(metric.scores(plain, plain).value, abs=1e-12)


def test_a_pair_with_one_half_missing_does_not_count() -> None:
    labels = [[[0.0, 1.0], [1.0, 2.0]], [[0.0, 1.0]], [[2.0, 3.0], [-1.0, 9.0]], [[-1.0, 9.0]]]
    pairs, scores = scored_pairs([np.array(label) for label in labels])
    assert pairs.tolist() == [[0, 1]]
    assert scores.tolist() == [1.0]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([[[0.0, 1.0]]] * 3, "pair 0 has 3 samples; a pair has two"),
        ([[[0.0, 1.0]], [[0.0, 2.0]]], "pair 0 has two scores: 1 and 2"),
        ([[[0.0, 1.0]], [[1.0, 2.0]]], "no two samples share the number of a pair"),
        ([[[0.0, 1.0, 2.0]], [[0.0, 1.0, 2.0]]], r"sample 0 has shape \[1, 3\]; similarity needs rows of"),
        ([1.0, 2.0], r"sample 0 has shape \[\]"),
    ],
)
def test_labels_that_are_no_pairs(labels: list[ArrayLike], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        scored_pairs([np.asarray(label) for label in labels])


def test_a_model_that_gives_nan_has_no_correlation() -> None:
    vectors, scored = drawn(12)
    broken = vectors.copy()
    broken[3, 0] = np.nan
    result = compare("similar", Similarity("y"), judged(vectors, scored), judged(broken, scored))
    assert math.isfinite(result.baseline)
    assert all(map(math.isnan, (result.candidate, result.drop, result.drop_upper)))


def test_a_worse_model_is_worse_and_the_same_one_is_not() -> None:
    vectors, scored = drawn(40)
    noisy = vectors + np.random.default_rng(1).normal(0, 2.0, vectors.shape)
    worse = compare("similar", Similarity("y"), judged(vectors, scored), judged(noisy, scored))
    assert 0 < worse.drop_lower < worse.drop < worse.drop_upper
    assert worse.count == 40
    same = compare("similar", Similarity("y"), judged(vectors, scored), judged(vectors, scored))
    assert (same.drop, same.drop_lower, same.drop_upper) == (0.0, 0.0, 0.0)


def test_few_samples_give_no_bound_however_many_pairs_they_make() -> None:
    vectors, scored = drawn(8)
    assert len(scored) == 28
    assert (
        compare("similar", Similarity("y"), judged(vectors, scored), judged(vectors * 2, scored)).drop_upper == math.inf
    )


def test_shared_samples_widen_the_interval() -> None:
    vectors, scored = drawn(30)
    scores = Similarity("y", "pearson").scores(judged(vectors, scored), judged(vectors, scored))
    _, _, resampling = scores.condensed(scores)
    shared, alone = (
        bootstrap_intervals(lambda weights: scores.values(weights)[:, None], drawn_by, [0.05])[0]
        for drawn_by in (resampling, Rows.single(len(scores)))
    )
    assert resampling.units == 30
    assert shared[1] - shared[0] > 1.3 * (alone[1] - alone[0])


def test_a_slice_keeps_the_pairs_whose_halves_are_both_in_it() -> None:
    vectors, scored = drawn(12)
    scores = Similarity("y").scores(judged(vectors, scored), judged(vectors, scored))
    part = scores.of_samples(np.arange(12) < 5)
    inside = [index for index, (first, second, _) in enumerate(scored) if max(first, second) < 5]
    assert isinstance(part, Columns)
    assert part.rows.tolist() == scores.rows[inside].tolist()


@given(units=st.integers(2, 9), seed=st.integers(0, 99))
def test_a_pair_is_drawn_as_often_as_its_samples_allow(units: int, seed: int) -> None:
    first, second = np.array(list(combinations(range(units), 2))).T
    weights = Pairs(units, first, second).draw(np.random.default_rng(seed), 3)
    draws = np.random.default_rng(seed).integers(0, units, (3, units))
    times = np.array([np.bincount(draw, minlength=units) for draw in draws])
    assert weights.tolist() == (times[:, first] * times[:, second]).tolist()


@given(units=st.integers(3, 9), out=st.integers(0, 8))
def test_leaving_a_sample_out_takes_all_its_pairs(units: int, out: int) -> None:
    first, second = np.array(list(combinations(range(units), 2))).T
    weights, _ = list(Pairs(units, first, second).left_out())[out % units]
    left = weights.astype(bool)
    assert left.sum() == (units - 1) * (units - 2) // 2
    assert out % units not in {*first[left], *second[left]}
