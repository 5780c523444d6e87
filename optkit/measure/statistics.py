"""The statistics that verdicts rest on. Pure functions of arrays; every random draw is seeded."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from optkit.measure.resampling import Resampling

    Statistics = Callable[[NDArray[Any]], NDArray[Any]]
    """Weights (draws, rows) → k values of each draw (draws, k)."""

_RESAMPLES = 2000
FEWEST_SAMPLES = 10
"""A bootstrap of fewer samples says more about them than about what they were drawn from."""
_CHUNK_ELEMENTS = 2**20

Interval = tuple[float, float]
UNBOUNDED: Interval = (-math.inf, math.inf)


def wilson_interval(successes: float, count: int, alpha: float = 0.05) -> Interval:
    """Returns the two-sided score interval of a proportion at confidence 1 - alpha.

    Source: E. B. Wilson, Probable inference, the law of succession, and statistical inference, JASA 22 (1927).
    """
    z = _normal_quantile(1 - alpha / 2)
    share = successes / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    # At 0 and at `count` successes the bound is the end itself; rounding must not leave it.
    return (0.0 if successes == 0 else middle - half, 1.0 if successes == count else middle + half)


def tango_bounds(lost: int, gained: int, count: int, alpha: float = 0.05) -> Interval:
    """Returns one-sided score bounds, each at confidence 1 - alpha, of the paired drop of a proportion.

    The drop is P(baseline right, candidate wrong) - P(baseline wrong, candidate right), between -1 and 1.

    Args:
        lost: Samples that only the baseline gets right.
        gained: Samples that only the candidate gets right.
        count: All samples.
        alpha: Error of each bound.

    Source: T. Tango, Equivalence test and confidence interval for the difference in proportions for the paired-sample
    design, Statistics in Medicine 17 (1998), 891-908.
    """
    z = _normal_quantile(1 - alpha)
    estimate = (lost - gained) / count
    lower = _crossing(lambda drop: tango_z(lost, gained, count, drop) - z, -1.0, estimate)
    upper = _crossing(lambda drop: tango_z(lost, gained, count, drop) + z, estimate, 1.0)
    return lower, upper


def tango_z(lost: int, gained: int, count: int, drop: float) -> float:
    """Returns Tango's score statistic for the hypothesis that the true paired drop is `drop`; it falls as `drop` grows.

    Its variance uses the maximum-likelihood estimate of the discordant probabilities under that hypothesis.
    """
    difference = lost - gained - count * drop
    a = 2.0 * count
    b = -lost - gained + (2 * count - lost + gained) * drop
    c = -gained * drop * (1 - drop)
    gained_share = (math.sqrt(max(b * b - 4 * a * c, 0.0)) - b) / (2 * a)
    variance = count * (2 * gained_share + drop * (1 - drop))
    if variance <= 0:
        return math.copysign(math.inf, difference) if difference else 0.0
    return difference / math.sqrt(variance)


def bootstrap_intervals(
    values: Statistics, resampling: Resampling, alphas: Sequence[float], seed: int = 0
) -> list[Interval]:
    """Returns the BCa bootstrap interval of each of several statistics of the same draws, with error alpha / 2 a side.

    What belongs to one sample (baseline's and candidate's scores) is drawn together. Fewer than ten units give no
    bound, nor do units so few that a draw of them has no value. The acceleration comes from a jackknife.

    Args:
        values: Weights (draws, rows) → the statistics (draws, k).
        resampling: What is drawn.
        alphas: One for each statistic, of both sides together; for one-sided bounds at error a, give 2a.
        seed: Of the resampling.

    Returns:
        One interval for each statistic, of NaN where the statistic itself is not finite.

    Source: B. Efron, Better bootstrap confidence intervals, JASA 82 (1987), 171-185.
    """
    if resampling.units < FEWEST_SAMPLES:
        return [UNBOUNDED] * len(alphas)
    estimates = values(resampling.found[None])[0]
    draws = _draws(values, resampling, seed)
    left_out, times = _without_one(values, resampling)
    return [
        _bca(estimate, draws[:, index], _acceleration(left_out[:, index], times), alphas[index])
        for index, estimate in enumerate(estimates.tolist())
    ]


def influence_range(values: Statistics, resampling: Resampling) -> NDArray[Any]:
    """Returns by how much each statistic (k,) could change, times the units, if one unit came to be like another.

    The influence of a unit is what its absence changes, times the units: of a mean, its distance to it.
    """
    import numpy as np

    left_out, _ = _without_one(values, resampling)
    spread: NDArray[Any] = (resampling.units - 1) * np.ptp(left_out, axis=0)
    return spread


def unseen_share(units: int, alpha: float) -> float:
    """Returns how large a share of units may be of a kind that none of them is, at one-sided confidence 1 - alpha.

    It is the score bound of a proportion, as `tango_bounds` gives it where no pair is discordant.
    """
    z = _normal_quantile(1 - alpha)
    return z * z / (units + z * z)


def supported_percentiles(
    count: int, percentiles: Sequence[float] = (50, 90, 99), alpha: float = 0.05
) -> tuple[float, ...]:
    """Returns the percentiles for which `count` samples give a distribution-free interval of confidence 1 - alpha.

    The interval ends in order statistics; one exists on either side if the smallest sample lies below the percentile
    and the largest above it, each but with probability alpha / 2: 6 samples for p50, 36 for p90, 368 for p99.

    Source: H. A. David and H. N. Nagaraja, Order Statistics (2003), section 7.1.
    """
    return tuple(p for p in percentiles if max((p / 100) ** count, (1 - p / 100) ** count) <= alpha / 2)


def percentiles_ms(nanoseconds: Sequence[int]) -> dict[str, float]:
    """Returns p50, p90 and p99 in milliseconds: those that the number of samples supports."""
    import numpy as np

    supported = supported_percentiles(len(nanoseconds))
    return {f"p{each:g}": float(np.percentile(nanoseconds, each)) / 1e6 for each in supported}


def samples_to_settle(bounds_at: Callable[[int], Interval], limit: float, count: int, most: int = 10**9) -> int | None:
    """Returns about how many samples would settle an inconclusive test of "the drop is at most `limit`".

    Args:
        bounds_at: Number of samples → one-sided bounds of the drop, if the samples go on like those seen so far.
        limit: What the drop may be.
        count: Samples seen so far.
        most: Where to give up.

    Returns:
        The smallest such number above `count`, or None if the drop sits on the limit.
    """

    def settled(samples: int) -> bool:
        lower, upper = bounds_at(samples)
        return upper <= limit or lower > limit

    low, high = count, max(count, 1)
    while not settled(high):
        low, high = high, high * 2
        if high > most:
            return None
    while high - low > max(1, low // 100):
        middle = (low + high) // 2
        low, high = (low, middle) if settled(middle) else (middle, high)
    return high


def _normal_quantile(probability: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(probability))


def _crossing(function: Callable[[float], float], low: float, high: float) -> float:
    """Returns where a falling function crosses zero between `low` and `high`, or the end that it does not reach."""
    from scipy.optimize import brentq

    if function(low) <= 0:
        return low
    if function(high) >= 0:
        return high
    return float(brentq(function, low, high, xtol=1e-12))


def _draws(values: Statistics, resampling: Resampling, seed: int) -> NDArray[Any]:
    """Returns the statistics of 2000 draws, (draws, k), with no more than a chunk of weights in memory."""
    import numpy as np

    random = np.random.default_rng(seed)
    chunk = _chunk(resampling)
    sizes = [min(chunk, _RESAMPLES - start) for start in range(0, _RESAMPLES, chunk)]
    return np.concatenate([values(resampling.draw(random, size)) for size in sizes])


def _without_one(values: Statistics, resampling: Resampling) -> tuple[NDArray[Any], NDArray[Any]]:
    """Returns the statistics without each unit in turn, (left out, k), and how many units that one stands for."""
    import numpy as np

    weights, chunk = resampling.left_out(), _chunk(resampling)
    found, times = [], []
    while part := list(itertools.islice(weights, chunk)):
        found.append(values(np.stack([left for left, _ in part])))
        times += [count for _, count in part]
    return np.concatenate(found), np.array(times)


def _chunk(resampling: Resampling) -> int:
    """Returns for how many draws there is memory at once."""
    return max(1, min(_RESAMPLES, _CHUNK_ELEMENTS // max(resampling.units, len(resampling.found))))


def _bca(estimate: float, draws: NDArray[Any], acceleration: float, alpha: float) -> Interval:
    import numpy as np
    from scipy.special import ndtr, ndtri

    if not math.isfinite(estimate):
        return (math.nan, math.nan)
    if not np.isfinite(draws).all():
        return UNBOUNDED
    if (draws == draws[0]).all():
        return (min(float(draws[0]), estimate), max(float(draws[0]), estimate))
    below = (draws < estimate).mean() + (draws == estimate).mean() / 2
    bias = ndtri(np.clip(below, 1 / _RESAMPLES, 1 - 1 / _RESAMPLES))
    shifted = bias + ndtri(np.array([alpha / 2, 1 - alpha / 2]))
    low, high = np.quantile(draws, ndtr(bias + shifted / (1 - acceleration * shifted)))
    return float(low), float(high)


def _acceleration(left_out: NDArray[Any], times: NDArray[Any]) -> float:
    import numpy as np

    if not np.isfinite(left_out).all():
        return 0.0
    deviations = np.average(left_out, weights=times) - left_out
    spread = float((times * deviations**2).sum()) ** 1.5
    return float((times * deviations**3).sum()) / (6 * spread) if spread else 0.0
