"""Comparing a candidate's predictions with the baseline's, sample by sample."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optkit.core.errors import StepFailed
from optkit.measure import statistics
from optkit.measure.scores import Outcomes

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from optkit.measure.metrics.base import Metric
    from optkit.measure.predictions import Predictions
    from optkit.measure.scores import Scores
    from optkit.measure.statistics import Interval


@dataclass(frozen=True, slots=True)
class AccuracyResult:
    """One metric of a candidate against the baseline.

    A bound is infinite where there are too few samples for one, and NaN where a score is.

    Attributes:
        metric: The metric's name in the recipe.
        count: Number of samples.
        baseline: Value of the baseline.
        baseline_interval: Two-sided, at confidence 1 - alpha.
        candidate: Value of the candidate.
        candidate_interval: Two-sided, at confidence 1 - alpha.
        candidate_bounds: One-sided lower and upper bound of that value, each at confidence 1 - alpha.
        drop: How much worse the candidate is; negative if it is better.
        drop_lower: One-sided lower bound of the drop at confidence 1 - alpha.
        drop_upper: One-sided upper bound of the drop at confidence 1 - alpha.
        alpha: Error of each of these bounds.
        lost: Samples that only the baseline gets right; None unless the outcomes are right and wrong.
        gained: Samples that only the candidate gets right; None likewise.
        note: Why a value or a bound is missing.
    """

    metric: str
    count: int
    baseline: float
    baseline_interval: Interval
    candidate: float
    candidate_interval: Interval
    candidate_bounds: Interval
    drop: float
    drop_lower: float
    drop_upper: float
    alpha: float
    lost: int | None = None
    gained: int | None = None
    note: str = ""

    def samples_to_settle(self, limit: float) -> int | None:
        """Returns about how many samples would settle whether the drop is at most `limit`; None if none would."""
        return self._to_settle(self._drop_at, limit)

    def samples_to_settle_value(self, limit: float, *, upper: bool) -> int | None:
        """Returns about how many samples would settle whether the value is at most (or at least) `limit`."""
        if upper:
            return self._to_settle(self._value_at, limit)
        return self._to_settle(lambda samples: _mirrored(self._value_at(samples)), -limit)

    def _to_settle(self, bounds_at: Callable[[int], Interval], limit: float) -> int | None:
        low, high = bounds_at(self.count)
        return statistics.samples_to_settle(bounds_at, limit, self.count) if math.isfinite(high - low) else None

    def _drop_at(self, samples: int) -> Interval:
        """Returns the bounds of the drop if the samples go on like those seen so far."""
        if self.lost is not None and self.gained is not None:
            lost, gained = (round(cases * samples / self.count) for cases in (self.lost, self.gained))
            return statistics.tango_bounds(lost, gained, samples, self.alpha)
        return self._narrowed(self.drop, (self.drop_lower, self.drop_upper), samples)

    def _value_at(self, samples: int) -> Interval:
        if self.lost is not None:
            return statistics.wilson_interval(self.candidate * samples, samples, 2 * self.alpha)
        return self._narrowed(self.candidate, self.candidate_bounds, samples)

    def _narrowed(self, value: float, bounds: Interval, samples: int) -> Interval:
        shrink = math.sqrt(self.count / samples)
        return value - (value - bounds[0]) * shrink, value + (bounds[1] - value) * shrink


def compare(
    name: str, metric: Metric, baseline: Predictions, candidate: Predictions, alpha: float = 0.05
) -> AccuracyResult:
    """Returns how `candidate` does against `baseline` on the same samples.

    Raises:
        UsageError: The metric does not fit the outputs or the labels.
        StepFailed: The two hold different numbers of samples.
    """
    before, after = score_both(metric, baseline, candidate)
    return judge(name, metric, before, after, alpha)


def score_both(metric: Metric, baseline: Predictions, candidate: Predictions) -> tuple[Scores, Scores]:
    """Returns the scores of both models; raises as `compare`."""
    if len(baseline) != len(candidate):
        raise StepFailed(f"the baseline has {len(baseline)} samples and the candidate {len(candidate)}")
    return metric.scores(baseline, baseline), metric.scores(candidate, baseline)


def judge(name: str, metric: Metric, before: Scores, after: Scores, alpha: float = 0.05) -> AccuracyResult:
    """Returns how `after` does against `before`, sample by sample.

    Outcomes of right and wrong get Wilson's and Tango's score intervals, other scores a paired BCa bootstrap. It knows
    nothing of what no sample shows: bounds of a discrete metric are at least as wide as if no sample had changed and
    those that might have were the heaviest.

    Args:
        name: The metric's name.
        metric: The metric.
        before: Scores of the baseline.
        after: Scores of the candidate.
        alpha: Error of each bound.
    """
    broken = before.broken.any() or after.broken.any()
    if isinstance(before, Outcomes) and len(before) and not broken:
        return _judge_outcomes(name, before.rows, after.rows, metric.sign, alpha)
    return _judge_values(name, metric, before, after, alpha)


def _judge_outcomes(name: str, before: NDArray[Any], after: NDArray[Any], sign: int, alpha: float) -> AccuracyResult:
    count = len(before)
    lost, gained = (int((change > 0).sum()) for change in (sign * (before - after), sign * (after - before)))
    lower, upper = statistics.tango_bounds(lost, gained, count, alpha)
    return AccuracyResult(
        metric=name,
        count=count,
        baseline=float(before.mean()),
        baseline_interval=statistics.wilson_interval(float(before.sum()), count, alpha),
        candidate=float(after.mean()),
        candidate_interval=statistics.wilson_interval(float(after.sum()), count, alpha),
        candidate_bounds=statistics.wilson_interval(float(after.sum()), count, 2 * alpha),
        drop=(lost - gained) / count,
        drop_lower=lower,
        drop_upper=upper,
        alpha=alpha,
        lost=lost,
        gained=gained,
    )


def _judge_values(name: str, metric: Metric, before: Scores, after: Scores, alpha: float) -> AccuracyResult:
    import numpy as np

    ours, theirs, resampling = before.condensed(after)
    values = [_no_values if each.broken.any() else each.values for each in (ours, theirs)]

    def drawn(weights: NDArray[Any]) -> NDArray[Any]:
        base, found = (each(weights) for each in values)
        return np.stack([base, found, found, metric.sign * (base - found)], axis=1)

    alphas = (alpha, alpha, 2 * alpha, 2 * alpha)
    estimates = drawn(resampling.found[None])[0].tolist()
    intervals = statistics.bootstrap_intervals(drawn, resampling, alphas)
    if metric.discrete and _mostly_unchanged(before, after):
        weight = max(1.0, *statistics.influence_range(drawn, resampling)[:2].tolist())
        unseen = [weight * statistics.unseen_share(resampling.units, each / 2) for each in alphas]
        intervals = [_widened(*each) for each in zip(intervals, estimates, unseen, strict=True)]
    (baseline, candidate, bounds, drop), (base, value, _, lost) = intervals, estimates
    return AccuracyResult(
        metric=name,
        count=resampling.units,
        baseline=base,
        baseline_interval=baseline,
        candidate=value,
        candidate_interval=candidate,
        candidate_bounds=bounds,
        drop=lost,
        drop_lower=drop[0],
        drop_upper=drop[1],
        alpha=alpha,
        note=_note(before, after, resampling.units, value, drop),
    )


def _mostly_unchanged(before: Scores, after: Scores) -> bool:
    """Whether half of the samples or more are scored alike; where nothing is known of a sample, they are."""
    same = (before.rows == after.rows).reshape(len(before), -1).all(axis=1)
    return bool(same.mean() >= 0.5)  # noqa: PLR2004  # half


def _widened(interval: Interval, value: float, least: float) -> Interval:
    return min(interval[0], value - least), max(interval[1], value + least)


def _no_values(weights: NDArray[Any]) -> NDArray[Any]:
    """Stands for the values of scores that hold NaN."""
    import numpy as np

    return np.full(len(weights), np.nan)


def _note(before: Scores, after: Scores, units: int, value: float, drop: Interval) -> str:
    for whose, scores in (("the baseline's", before), ("the candidate's", after)):
        broken = scores.broken.nonzero()[0]
        if len(broken):
            return f"{whose} score of sample {broken[0]} is not a number; so it is with {len(broken)} of {len(scores)}"
    if units < statistics.FEWEST_SAMPLES:
        return f"{units} samples are too few for a bound: at least {statistics.FEWEST_SAMPLES} are needed"
    if not math.isfinite(value):
        return f"these {units} samples give no value"
    return "" if math.isfinite(drop[1] - drop[0]) else f"{units} samples are too few: some resamples give no value"


def _mirrored(bounds: Interval) -> Interval:
    return -bounds[1], -bounds[0]
