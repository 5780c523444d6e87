"""What was measured at each level of concurrency, and where more of it stops paying. Pure values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from optkit.core.errors import UsageError
from optkit.measure.statistics import supported_percentiles

if TYPE_CHECKING:
    from collections.abc import Sequence

GAIN = 0.1
"""Below this gain of throughput per doubling of concurrency, more of it only makes requests wait."""
MOST_CLIENTS = 256
BUSY = 0.7
"""Share of a core above which the client may be what is slow: Python runs one thread at a time."""


@dataclass(frozen=True, slots=True)
class Level:
    """One level of concurrency.

    Attributes:
        concurrency: Requests in flight: so many clients, each sending when it has its answer.
        seconds: Length of the window that was measured, after a warm-up.
        answers: Right answers that came within the window.
        requests_per_second: Right answers per second.
        samples_per_second: Samples in them per second.
        mean_ms: Mean latency of requests that were sent within the window and answered rightly; None if none was.
        percentiles_ms: p50, p90, p99 → milliseconds, for those that the number of requests supports.
        errors: Requests without a readable answer, warm-up included.
        wrong: Answers that are not those expected, warm-up included.
        problems: What was wrong → how often; the most frequent.
        client_cores: CPU time of this process per second: near 1 the client itself is the limit.
    """

    concurrency: int
    seconds: float
    answers: int
    requests_per_second: float
    samples_per_second: float
    mean_ms: float | None
    percentiles_ms: dict[str, float]
    errors: int
    wrong: int
    problems: dict[str, int]
    client_cores: float

    @property
    def clean(self) -> bool:
        """Returns whether every request was answered rightly."""
        return not self.errors and not self.wrong

    @property
    def dead(self) -> bool:
        """Returns whether there was no right answer, late ones included."""
        return self.mean_ms is None


def latencies(seconds: Sequence[float]) -> tuple[float | None, dict[str, float]]:
    """Returns mean and percentiles in milliseconds, the latter where there are enough samples to say."""
    import numpy as np

    if not seconds:
        return None, {}
    times = np.array(seconds) * 1e3
    return fmean(times), {f"p{p:g}": float(np.percentile(times, p)) for p in supported_percentiles(times.size)}


def knee(levels: Sequence[Level]) -> Level | None:
    """Returns the lowest level from which more concurrency gains less than 10 % of throughput per doubling.

    A later level that rises above that line, though one between did not, counts: noise at one level is no knee.

    Returns:
        None if throughput still grows at the highest level, or if there is one level alone. Levels with errors or
        wrong answers do not count.
    """
    clean = [level for level in levels if level.clean]
    for index, level in enumerate(clean[:-1]):
        if all(later.requests_per_second < _bound(level, later) for later in clean[index + 1 :]):
            return level
    return None


def concurrencies(text: str) -> tuple[int, ...]:
    """Returns the levels of `1..64` (doubling), `1,4,16` or `8`, in ascending order.

    Raises:
        UsageError: The text is none of these, or a level is not between 1 and 256.
    """
    low, dots, high = text.partition("..")
    try:
        levels = _doubling(int(low), int(high)) if dots else sorted({int(each) for each in text.split(",")})
    except ValueError:
        raise UsageError(f"--concurrency {text}: no levels", hint="as in 1..64, which doubles, or 1,4,16") from None
    if not levels or levels[0] < 1 or levels[-1] > MOST_CLIENTS:
        raise UsageError(f"--concurrency {text}: levels are between 1 and {MOST_CLIENTS}, the lowest first")
    return tuple(levels)


def _doubling(low: int, high: int) -> list[int]:
    if low < 1 or high < low or high > MOST_CLIENTS:
        return []
    doublings = range(math.ceil(math.log2(high / low)))
    return [*(low << doubling for doubling in doublings), high]


def _bound(level: Level, later: Level) -> float:
    doublings = math.log2(later.concurrency / level.concurrency)
    return level.requests_per_second * math.pow(1 + GAIN, doublings)
