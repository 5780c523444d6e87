"""Several starts of the same processes, and what they say together.

Two starts of one program differ by a per cent or more for as long as they live: where the system puts it in memory is
drawn anew each time. However long a start is timed, it says nothing of the others, and neither does a second session in
the same process, which is as fast as the first. So a measurement takes several, and where it has more than one, only
starts count as independent.

Sources: J. Mytkowicz, A. Diwan, M. Hauswirth and P. Sweeney, Producing wrong data without doing anything obviously
wrong!, ASPLOS 2009; T. Kalibera and R. Jones, Rigorous benchmarking in reasonable time, ISMM 2013.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from optkit.measure.latency_report import Speedup

if TYPE_CHECKING:
    from collections.abc import Sequence

ALPHA = 0.035
"""Error of each bound at a look, chosen so that looks at 5 to 12 starts, of which the first that is narrow enough
counts, err in at most 5 % of measurements: with normal noise 4.9 % at the least favourable spread, by simulation."""
FEWEST_TO_STOP = 5
"""Starts before which an interval is not looked at."""
_MOST = 12
_SHARE = 0.7
"""Of the time that is left, what further starts may take; the rest is timing."""


class Starts:
    """Shares the seconds of a measurement out among starts; what the first one costs is not counted."""

    def __init__(self, seconds: float) -> None:
        self.count = 0
        """How many there were, the present one included."""
        self._left = seconds
        self._planned = 1
        self._cost = math.inf

    @property
    def another(self) -> bool:
        """Whether there is time for one more."""
        return self.count == 0 or (self.count < self._planned and self._left > self._cost)

    def started(self, cost: float) -> float:
        """Returns the seconds of timing for a start that took `cost` seconds until it was warm."""
        self.count += 1
        self._cost = min(self._cost, cost)
        if self.count > 1:
            self._left -= cost
        later = max(0, min(_MOST - self.count, int(_SHARE * self._left / self._cost)))
        self._planned = self.count + later
        return max(0.0, (self._left - later * self._cost) / (later + 1))

    def timed(self, seconds: float) -> None:
        """Notes that a start was timed for `seconds`."""
        self._left -= seconds


def over_starts(speedups: Sequence[Speedup]) -> Speedup:
    """Returns what the speed-ups of several starts say of all: their geometric mean and Student's bounds.

    A single one is returned as it is.
    """
    import numpy as np
    from scipy.special import stdtrit

    if len(speedups) == 1:
        return speedups[0]
    logs = np.log([speedup.ratio for speedup in speedups])
    middle, error = float(logs.mean()), float(logs.std(ddof=1)) / math.sqrt(len(logs))
    half = float(stdtrit(len(logs) - 1, 1 - ALPHA)) * error
    return Speedup(math.exp(middle), (math.exp(middle - half), math.exp(middle + half)))
