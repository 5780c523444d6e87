from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from optkit.core.errors import StepFailed
from optkit.measure.accuracy import AccuracyResult, compare
from optkit.measure.metrics.accuracy import Accuracy, Agreement
from optkit.measure.metrics.closeness import Cosine, MeanSquaredError
from optkit.measure.metrics.correlation import Correlation
from optkit.measure.metrics.f1 import F1
from optkit.measure.statistics import tango_bounds, wilson_interval

if TYPE_CHECKING:
    from optkit.measure.predictions import Predictions
    from tests.measure.conftest import MakePredictions


def _logits(right: np.ndarray) -> np.ndarray:
    return np.stack([right, ~right], axis=1).astype(np.float32)


def test_accuracy_is_paired(predictions: MakePredictions) -> None:
    before, after = np.arange(100) < 90, (np.arange(100) < 88) | (np.arange(100) == 95)
    labels = np.zeros(100, np.int64)
    result = compare("top1", Accuracy("y"), predictions(_logits(before), labels), predictions(_logits(after), labels))
    assert (result.metric, result.count, result.baseline, result.candidate) == ("top1", 100, 0.9, 0.89)
    assert (result.lost, result.gained) == (2, 1)
    assert result.drop == pytest.approx(0.01, abs=1e-15)
    assert (result.drop_lower, result.drop_upper) == tango_bounds(2, 1, 100)
    assert result.candidate_interval == wilson_interval(89, 100)


def test_agreement_of_a_model_with_itself(predictions: MakePredictions) -> None:
    same = predictions(_logits(np.arange(50) % 2 == 0))
    result = compare("agree", Agreement("y"), same, same)
    assert (result.baseline, result.candidate, result.drop) == (1.0, 1.0, 0.0)
    assert 0 < result.drop_upper < 0.06


@pytest.mark.parametrize("metric", [Accuracy("y"), Agreement("y"), Cosine("y"), MeanSquaredError("y")])
def test_one_nan_makes_every_bound_nan(
    predictions: MakePredictions, metric: Accuracy | Agreement | Cosine | MeanSquaredError
) -> None:
    good = np.random.default_rng(0).normal(size=(40, 2))
    bad = good.copy()
    bad[7, 0] = np.nan
    labels = good if isinstance(metric, MeanSquaredError) else np.zeros(40, np.int64)
    result = compare("m", metric, predictions(good, labels), predictions(bad, labels))
    assert all(map(math.isnan, (result.candidate, result.drop, result.drop_lower, result.drop_upper)))
    assert result.samples_to_settle(0.1) is None
    assert result.note == "the candidate's score of sample 7 is not a number; so it is with 1 of 40"


def test_lower_is_better_turns_the_drop_round(predictions: MakePredictions) -> None:
    random = np.random.default_rng(0)
    labels = random.normal(size=(60, 1))
    near, far = (predictions(labels + random.normal(0, noise, (60, 1)), labels) for noise in (0.1, 1.0))
    worse, better = (compare("mse", MeanSquaredError("y"), *pair) for pair in ((near, far), (far, near)))
    assert worse.drop > 0
    assert 0 < worse.drop_lower < worse.drop < worse.drop_upper
    assert better.drop_upper < 0


def test_correlation_is_judged_as_a_whole(predictions: MakePredictions) -> None:
    random = np.random.default_rng(0)
    labels = random.normal(size=80)
    outputs = labels[:, None] + random.normal(0, 0.5, (80, 1))
    before, after = predictions(outputs, labels), predictions(outputs + random.normal(0, 0.05, (80, 1)), labels)
    result = compare("pearson", Correlation("y"), before, after)
    assert result.baseline == pytest.approx(np.corrcoef(outputs[:, 0], labels)[0, 1], abs=1e-12)
    assert result.drop_lower < result.drop < result.drop_upper
    # Paired: far narrower than either value's own interval.
    assert result.drop_upper - result.drop_lower < 0.3 * (result.baseline_interval[1] - result.baseline_interval[0])


def test_too_few_samples_for_a_bootstrap_bound_nothing(predictions: MakePredictions) -> None:
    few = predictions(np.ones((5, 3)))
    result = compare("cos", Cosine("y"), few, few)
    assert (result.drop_lower, result.drop_upper) == (-math.inf, math.inf)
    assert result.samples_to_settle(0.1) is None
    assert result.note == "5 samples are too few for a bound: at least 10 are needed"


def test_different_numbers_of_samples(predictions: MakePredictions) -> None:
    with pytest.raises(StepFailed, match="the baseline has 3 samples and the candidate 2"):
        compare("cos", Cosine("y"), predictions(np.ones((3, 2))), predictions(np.ones((2, 2))))


def _result(drop: float, width: float, count: int, lost: int | None = None) -> AccuracyResult:
    gained = None if lost is None else 0
    drops = drop, drop - width, drop + width
    return AccuracyResult("m", count, 0, (0, 0), 0.5, (0, 0), (0.4, 0.6), *drops, 0.05, lost, gained)


def test_samples_to_settle_scores_by_the_square_root() -> None:
    needed = _result(drop=0.0, width=0.02, count=100).samples_to_settle(0.01)
    assert needed == pytest.approx(400, rel=0.02)


def test_samples_to_settle_outcomes_by_the_score_interval() -> None:
    # Without a single change the bound is z² / (n + z²): 0.01 is reached at n = 268.
    needed = _result(drop=0.0, width=0.0263, count=100, lost=0).samples_to_settle(0.01)
    assert needed == pytest.approx(268, abs=3)


def test_samples_to_settle_a_value() -> None:
    # The bounds 0.4 and 0.6 shrink with the root of the samples: four times as many reach 0.05 on either side.
    result = _result(drop=0.0, width=0.02, count=100)
    assert result.samples_to_settle_value(0.55, upper=True) == pytest.approx(400, rel=0.02)
    assert result.samples_to_settle_value(0.45, upper=False) == pytest.approx(400, rel=0.02)
    assert result.samples_to_settle_value(0.5, upper=False) is None


def test_samples_to_settle_a_share() -> None:
    needed = _result(drop=0.0, width=0.02, count=100, lost=0).samples_to_settle_value(0.45, upper=False)
    assert needed is not None
    assert wilson_interval(needed / 2, needed, 0.1)[0] == pytest.approx(0.45, abs=1e-3)


def _f1(labels: np.ndarray, decided: np.ndarray, predictions: MakePredictions) -> Predictions:
    return predictions(np.eye(4)[decided], labels)


def test_no_change_among_few_samples_does_not_prove_that_there_is_none(predictions: MakePredictions) -> None:
    labels = np.arange(200) % 4
    decided = np.where(np.arange(200) % 10 == 0, 0, labels)
    same = _f1(labels, decided, predictions)
    result = compare("f1", F1("y"), same, same)
    assert result.drop == 0.0
    # As with Tango's bound, 2.7 in 200 samples may be of a kind that was not seen.
    assert 0.9 * 0.0134 < result.drop_upper < 2 * 0.0134
    assert result.drop_lower == -result.drop_upper
    perfect = _f1(labels, labels, predictions)
    value = compare("f1", F1("y"), perfect, perfect)
    assert value.candidate_bounds[0] == pytest.approx(1 - 0.0134, abs=1e-3)
    settled = value.samples_to_settle_value(0.99, upper=False)
    assert settled is not None
    assert settled > 200


def test_what_is_weighed_and_equal_is_equal(predictions: MakePredictions) -> None:
    same = predictions(np.random.default_rng(0).normal(size=(40, 1)), np.arange(40.0))
    assert compare("mse", MeanSquaredError("y"), same, same).drop_upper == 0.0


@pytest.mark.parametrize("limit", [0.01, 0.05])
def test_a_metric_that_loses_what_it_may_passes_in_few_runs(predictions: MakePredictions, limit: float) -> None:
    random = np.random.default_rng(0)
    passed = 0
    for _ in range(60):
        labels = random.integers(0, 4, 150)
        wrong = random.random(150) < limit
        before, after = (_f1(labels, each, predictions) for each in (labels, np.where(wrong, (labels + 1) % 4, labels)))
        passed += compare("f1", F1("y"), before, after).drop_upper <= limit
    assert passed <= 8  # 5 % of 60 are 3; more than 8 come by chance once in 300 times
