"""One measurement of latency: its starts, each with all feeds, and what they found together."""

from __future__ import annotations

import math
import statistics
import time
from contextlib import ExitStack
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

from optkit.measure.latency_report import FeedResult, LatencyReport, Progress, Timing
from optkit.measure.rounds import Rounds, settled
from optkit.measure.starts import FEWEST_TO_STOP, Starts, over_starts
from optkit.measure.statistics import percentiles_ms
from optkit.measure.worker_process import cpus_for, start_worker
from optkit.measure.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from optkit.core.errors import OptkitError
    from optkit.core.results import Profile
    from optkit.measure.latency_report import ProcessFacts, Speedup, Subject

LAST_SHARE = 0.75
"""Of the time, for the last feed: gates look at no other."""


class Measurement:
    """The starts of one measurement, and what they found so far.

    Args:
        subjects: The baseline first.
        files: Batch → input → npy file; the smallest batch first.
        budget: As in `measure_latency`.
        precision: Likewise.
        clock: Returns seconds.
    """

    def __init__(
        self,
        subjects: Sequence[Subject],
        files: Mapping[int, Mapping[str, str]],
        budget: float,
        precision: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._subjects, self._files = subjects, files
        self._budget, self._precision = budget, precision
        self._clock = clock
        self._cpus = cpus_for(max(subject.threads for subject in subjects))
        self._starts = Starts(budget)
        self._rounds: dict[int, list[Rounds]] = {batch: [] for batch in files}
        self._facts: dict[str, ProcessFacts] = {}
        self._failed: dict[str, OptkitError] = {}
        self._began = self._clock()
        self._warm = math.inf

    def run(self, *, profile: bool) -> Generator[Progress, None, LatencyReport]:
        """Makes starts until the ratios are settled or the time is up; yields progress and returns the report."""
        profiles: dict[str, Profile | str] = {}
        while not self._finished():
            with ExitStack() as stack:
                workers = yield from self._one_start(stack)
                if profile and self._finished():
                    for name in workers.names:
                        yield Progress(1.0, f"profiling {name}")
                        profiles[name] = workers.profile(name)
        feeds = tuple(self._result(batch) for batch in self._files)
        seconds = self._clock() - self._began
        return LatencyReport(feeds, self._facts, tuple(self._cpus), self._failed, self._starts.count, seconds, profiles)

    def _finished(self) -> bool:
        """Whether the last feed, the only one that gates look at, is settled, or there is no time for another start."""
        enough = self._starts.count >= FEWEST_TO_STOP and settled(self._ratios(max(self._files)), self._precision)
        return enough or not self._starts.another

    def _one_start(self, stack: ExitStack) -> Generator[Progress, None, Workers]:
        """Starts all subjects anew and times them on each feed."""
        began = self._clock()
        workers = yield from self.open(stack)
        for index, (batch, files) in enumerate(self._files.items()):
            yield self._progress(f"warming up, batch {batch}")
            turns = workers.turns(files)
            if index == 0:
                warm = self._clock()
                self._warm = min(self._warm, warm)
                seconds = self._starts.started(warm - began)
            rounds = Rounds(turns, self._precision, self._clock, seed=self._starts.count)
            self._rounds[batch].append(rounds)
            for _ in rounds.run(_share(seconds, self._clock() - warm, len(self._files) - index)):
                yield self._progress(f"start {self._starts.count}, batch {batch} {self._summary(batch)}")
            workers.leave_out(rounds.failed)
        self._starts.timed(self._clock() - warm)
        self._note(workers.facts(), workers.failed)
        return workers

    def open(self, stack: ExitStack) -> Generator[Progress, None, Workers]:
        """Opens all subjects: at first one after the other, each at the speed that it has alone, later together."""
        workers = Workers()
        if self._starts.count:
            yield self._progress("starting anew")
            workers.open([stack.enter_context(start_worker(subject)) for subject in self._subjects], self._cpus)
            return workers
        for subject in self._subjects:
            yield self._progress(f"loading {subject.name}")
            workers.open([stack.enter_context(start_worker(subject))], self._cpus)
        return workers

    def _note(self, facts: Mapping[str, ProcessFacts], failed: Mapping[str, OptkitError]) -> None:
        self._failed |= failed
        self._subjects = [subject for subject in self._subjects if subject.name in facts]
        peaks = {name: max(fact.peak_rss, self._facts.get(name, fact).peak_rss) for name, fact in facts.items()}
        self._facts = {name: replace(self._facts.get(name, facts[name]), peak_rss=peaks[name]) for name in facts}

    def _ratios(self, batch: int) -> dict[str, Speedup]:
        """Returns candidate → speed-up, or the baseline's own interval where it is alone."""
        names = [subject.name for subject in self._subjects]
        starts = [each.ratios for each in self._rounds[batch]]
        found = {name: [ratios[name] for ratios in starts if name in ratios] for name in names[1:] or names}
        return {name: over_starts(speedups) for name, speedups in found.items() if speedups}

    def _result(self, batch: int) -> FeedResult:
        ratios = self._ratios(batch)
        starts = [each.samples for each in self._rounds[batch]]
        timings = {
            subject.name: _timing([turn for samples in starts for turn in samples[subject.name]], batch)
            for subject in self._subjects
        }
        speedups = {subject.name: ratios[subject.name] for subject in self._subjects[1:]}
        return FeedResult(batch, timings, speedups, settled(ratios, self._precision))

    def _summary(self, batch: int) -> str:
        ratios = self._ratios(batch)
        return ", ".join(f"{ratios[each.name].ratio:.2f}x" for each in self._subjects[1:] if each.name in ratios)

    def _progress(self, text: str) -> Progress:
        used = max(0.0, self._clock() - self._warm)
        return Progress(min(1.0, used / self._budget) if self._budget else 1.0, text)


def _share(seconds: float, spent: float, feeds_left: int) -> float:
    """Returns the seconds of the next feed."""
    if feeds_left == 1:
        return seconds - spent
    return max(0.0, (1 - LAST_SHARE) * seconds - spent) / (feeds_left - 1)


def _timing(turns: Sequence[Sequence[int]], batch: int) -> Timing:
    samples = list(chain.from_iterable(turns))
    throughput = batch * 1e9 / statistics.median(samples)
    return Timing(tuple(map(tuple, turns)), percentiles_ms(samples), throughput)
