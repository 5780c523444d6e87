"""Comparing a candidate's predictions with the baseline's, sample by sample."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optkit.core.errors import StepFailed
from optkit.measure import statistics

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from optkit.measure.metrics import Metric
    from optkit.measure.predictions import Predictions
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
        drop: How much worse the candidate is; negative if it is better.
        drop_lower: One-sided lower bound of the drop at confidence 1 - alpha.
        drop_upper: One-sided upper bound of the drop at confidence 1 - alpha.
        alpha: Error of each of these bounds.
        lost: Samples that only the baseline gets right; None unless the outcomes are right and wrong.
        gained: Samples that only the candidate gets right; None likewise.
    """

    metric: str
    count: int
    baseline: float
    baseline_interval: Interval
    candidate: float
    candidate_interval: Interval
    drop: float
    drop_lower: float
    drop_upper: float
    alpha: float
    lost: int | None = None
    gained: int | None = None

    def samples_to_settle(self, limit: float) -> int | None:
        """Returns about how many samples would settle whether the drop is at most `limit`; None if none would."""
        if not math.isfinite(self.drop_upper - self.drop_lower):
            return None
        return statistics.samples_to_settle(self._bounds_at, limit, self.count)

    def _bounds_at(self, samples: int) -> Interval:
        if self.lost is not None and self.gained is not None:
            lost, gained = (round(cases * samples / self.count) for cases in (self.lost, self.gained))
            return statistics.tango_bounds(lost, gained, samples, self.alpha)
        shrink = math.sqrt(self.count / samples)
        return (
            self.drop - (self.drop - self.drop_lower) * shrink,
            self.drop + (self.drop_upper - self.drop) * shrink,
        )


def compare(
    name: str, metric: Metric, baseline: Predictions, candidate: Predictions, alpha: float = 0.05
) -> AccuracyResult:
    """Returns how `candidate` does against `baseline` on the same samples.

    Outcomes of right and wrong get Wilson's and Tango's score intervals, other scores a paired BCa bootstrap.

    Raises:
        UsageError: The metric does not fit the outputs or the labels.
        StepFailed: The two hold different numbers of samples.
    """
    import numpy as np

    if len(baseline) != len(candidate):
        raise StepFailed(f"the baseline has {len(baseline)} samples and the candidate {len(candidate)}")
    before = metric.per_sample(baseline, baseline)
    after = metric.per_sample(candidate, baseline)
    judge = _judge_binary if metric.binary and not np.isnan([before, after]).any() else _judge_scores
    return judge(name, metric, before, after, alpha)


def _judge_binary(name: str, metric: Metric, before: NDArray[Any], after: NDArray[Any], alpha: float) -> AccuracyResult:
    del metric
    lost, gained = int((before > after).sum()), int((before < after).sum())
    lower, upper = statistics.tango_bounds(lost, gained, len(before), alpha)
    return AccuracyResult(
        metric=name,
        count=len(before),
        baseline=float(before.mean()),
        baseline_interval=statistics.wilson_interval(before.sum(), len(before), alpha),
        candidate=float(after.mean()),
        candidate_interval=statistics.wilson_interval(after.sum(), len(after), alpha),
        drop=(lost - gained) / len(before),
        drop_lower=lower,
        drop_upper=upper,
        alpha=alpha,
        lost=lost,
        gained=gained,
    )


def _judge_scores(name: str, metric: Metric, before: NDArray[Any], after: NDArray[Any], alpha: float) -> AccuracyResult:
    import numpy as np

    sign = 1.0 if metric.higher_is_better else -1.0
    pairs = np.stack([before, after], axis=1)
    drop, resampling = _drop(metric, sign), metric.resampling(before)
    lower, upper = statistics.bootstrap_interval(pairs, drop, 2 * alpha, resampling=resampling)
    return AccuracyResult(
        metric=name,
        count=resampling.units,
        baseline=metric.statistic(before),
        baseline_interval=statistics.bootstrap_interval(before, metric.statistic, alpha, resampling=resampling),
        candidate=metric.statistic(after),
        candidate_interval=statistics.bootstrap_interval(after, metric.statistic, alpha, resampling=resampling),
        drop=drop(pairs),
        drop_lower=lower,
        drop_upper=upper,
        alpha=alpha,
    )


def _drop(metric: Metric, sign: float) -> Callable[[NDArray[Any]], float]:
    return lambda pairs: sign * (metric.statistic(pairs[:, 0]) - metric.statistic(pairs[:, 1]))
