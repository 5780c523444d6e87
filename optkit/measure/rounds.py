"""Rounds of timing in one start: every subject takes its turns in each, until the ratios are known well enough.

When to stop is decided by looking at the data, and whoever looks often enough finds what they want: the first interval
that happens to be narrow is narrow because it is wrong more often than it says. So the error of a bound, 5 %, is
shared out before the first round: looks at 10, 20, 40, … rounds have 0.1 % each and can only stop early when the
interval is narrow even so; the look at the end of the time has 4 %. Ten looks are allowed, which is 1 % in all.

Where there are several starts, their bounds are Student's over all of them (`starts`), and what is decided here is but
how long each is timed.

Source: J. L. Haybittle, Repeated assessment of results in clinical trials of cancer treatment, British Journal of
Radiology 44 (1971), 793-797; the union bound makes it exact for looks that depend on each other.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from optkit.core.errors import OptkitError
from optkit.measure.paired_ratio import paired_ratio

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from optkit.measure.latency_report import Speedup

    Turn = Callable[[], Sequence[int]]

ALPHA_EARLY, ALPHA_LAST = 0.001, 0.04
"""Error of each bound at a look, chosen so that ten early looks and the last one err in at most 5 % of measurements."""
_LOOKS = tuple(10 * 2**look for look in range(10))
_FEWEST_ROUNDS = 5
"""Fewer have no bounds at the last look."""
_SECONDS_PER_NEWS = 0.2


class Rounds:
    """The rounds of all subjects on one feed.

    Args:
        turns: Subject → takes a turn and returns the nanoseconds of its runs; the baseline first, all warm.
        precision: Half the width of a ratio's interval, relative to the ratio, that is narrow enough.
        clock: Returns seconds.
        seed: Of the order of turns.
    """

    def __init__(
        self, turns: Mapping[str, Turn], precision: float, clock: Callable[[], float] = time.monotonic, seed: int = 0
    ) -> None:
        self._turns = dict(turns)
        self._baseline = next(iter(turns))
        self._precision = precision
        self._clock = clock
        self._order = random.Random(seed)  # noqa: S311  # of turns
        self.samples: dict[str, list[Sequence[int]]] = {name: [] for name in turns}
        """Subject → turns, each with the nanoseconds of its runs; two turns are a round."""
        self.ratios: dict[str, Speedup] = {}
        """Candidate → against the baseline; of a baseline that is alone, its nanoseconds."""
        self.failed: dict[str, OptkitError] = {}
        """Candidates that failed and are out, the others having gone on without them."""

    def run(self, seconds: float) -> Iterator[None]:
        """Makes rounds until the ratios are settled or `seconds` are over; yields now and then.

        Raises:
            OptkitError: The baseline failed.
        """
        started = told = self._clock()
        rounds, elapsed = 0, 0.0
        while rounds < _FEWEST_ROUNDS or elapsed < seconds:
            self._one_round()
            rounds += 1
            elapsed = self._clock() - started
            if rounds in _LOOKS:
                self.ratios = self._compare(ALPHA_EARLY)
                if settled(self.ratios, self._precision):
                    return
            if self._clock() - told >= _SECONDS_PER_NEWS:
                told = self._clock()
                yield
        self.ratios = self._compare(ALPHA_LAST)

    def _one_round(self) -> None:
        """Lets every subject take a turn there and one back; nobody always comes first, or after the same one."""
        names = list(self._turns)
        self._order.shuffle(names)
        for name in (*names, *reversed(names)):
            if name in self._turns:
                self._take_turn(name)

    def _take_turn(self, name: str) -> None:
        try:
            self.samples[name].append(self._turns[name]())
        except OptkitError as error:
            if name == self._baseline:
                raise
            self.failed[name] = error
            del self._turns[name]
            self.ratios.pop(name, None)

    def _compare(self, alpha: float) -> dict[str, Speedup]:
        baseline = self.samples[self._baseline]
        candidates = [name for name in self._turns if name != self._baseline]
        if not candidates:
            # Alone, the baseline is compared with a constant: the interval is then that of its own median.
            return {self._baseline: paired_ratio(baseline, [[1]] * len(baseline), alpha)}
        return {name: paired_ratio(baseline, self.samples[name], alpha) for name in candidates}


def settled(ratios: Mapping[str, Speedup], precision: float) -> bool:
    """Returns whether half of every interval is at most `precision`, relative to its ratio."""
    widths = [(ratio.interval[1] - ratio.interval[0]) / ratio.ratio for ratio in ratios.values()]
    return bool(widths) and max(widths) <= 2 * precision
