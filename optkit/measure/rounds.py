"""Rounds of timing: every subject takes its turn in each, until the ratios are known well enough."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from optkit.measure.latency_report import FeedResult, Speedup, Timing
from optkit.measure.statistics import median_ratio_interval, supported_percentiles

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from optkit.measure.worker_process import WorkerProcess

_FEWEST_ROUNDS = 10
"""Fewer rounds do not carry a bootstrap."""
_ROUNDS_PER_CHECK = 5
_TURN_SECONDS = 0.05
_MOST_RUNS = 100


class Rounds:
    """The rounds of all subjects on one feed.

    Args:
        workers: The baseline's, then the candidates'; warm.
        seconds: Of one undisturbed run of each. Turns are made equally long by it: a scheduler that must share the CPU
            interrupts longer turns more often, which would show as slower runs.
        precision: Half the width of a ratio's interval, relative to the ratio, that is narrow enough.
    """

    def __init__(self, workers: Sequence[WorkerProcess], seconds: Sequence[float], precision: float) -> None:
        self._workers = workers
        self._runs = [max(1, min(_MOST_RUNS, round(_TURN_SECONDS / run))) for run in seconds]
        self._precision = precision
        self._samples: list[list[list[int]]] = [[] for _ in workers]
        self._ratios: list[Speedup] = []

    def run(self, seconds: float) -> Iterator[float]:
        """Makes rounds until the ratios are settled or `seconds` are over; yields the share of the time used."""
        started = time.monotonic()
        rounds, elapsed = 0, 0.0
        while rounds < _FEWEST_ROUNDS or (elapsed < seconds and not self._settled()):
            self._one_round()
            rounds += 1
            if rounds >= _FEWEST_ROUNDS and rounds % _ROUNDS_PER_CHECK == 0:
                self._ratios = self._compare()
            elapsed = time.monotonic() - started
            yield min(1.0, elapsed / seconds) if seconds > 0 else 1.0
        self._ratios = self._compare()

    def summary(self) -> str:
        """Returns the candidates' speedups so far."""
        return ", ".join(f"{ratio.ratio:.2f}x" for ratio in self._ratios[: len(self._workers) - 1])

    def result(self, batch: int) -> FeedResult:
        """Returns what was measured, for runs of `batch` samples."""
        names = [worker.subject.name for worker in self._workers]
        timings = [_timing(samples, batch) for samples in self._samples]
        speedups = dict(zip(names[1:], self._ratios, strict=False))
        return FeedResult(batch, dict(zip(names, timings, strict=True)), speedups, self._settled())

    def _one_round(self) -> None:
        for worker, runs, samples in zip(self._workers, self._runs, self._samples, strict=True):
            # The first run of a turn finds the caches full of the other subjects' data.
            samples.append(worker.ask("measure", count=runs + 1)[1:])

    def _compare(self) -> list[Speedup]:
        import numpy as np

        baseline, *candidates = (np.array(samples, np.float64) for samples in self._samples)
        # Alone, the baseline is compared with a constant: the interval is then that of its own median.
        others = candidates or [np.ones_like(baseline)]
        return [
            Speedup(float(np.median(baseline) / np.median(other)), median_ratio_interval(baseline, other))
            for other in others
        ]

    def _settled(self) -> bool:
        widths = [(ratio.interval[1] - ratio.interval[0]) / ratio.ratio for ratio in self._ratios]
        return bool(widths) and max(widths) <= 2 * self._precision


def _timing(rounds: list[list[int]], batch: int) -> Timing:
    import numpy as np

    times = np.array(rounds, np.float64) / 1e6
    percentiles = {f"p{p:g}": float(np.percentile(times, p)) for p in supported_percentiles(times.size)}
    return Timing(tuple(map(tuple, rounds)), percentiles, batch * 1e3 / float(np.median(times)))
