"""How much faster a candidate is than the baseline, from turns that both took on a machine that is never quiet.

Three things make such numbers lie, and each has its answer here:

- *The machine drifts.* Both subjects go there and back in every round (A B B A), and only ratios within a round are
  used, on the log scale: what changes linearly during a round, or depends on who comes first, cancels.
- *Neighbouring rounds are alike*, as a disturbance outlasts a round. Rounds are put into sixteen contiguous blocks,
  and only the blocks count as independent (the method of batch means, with robust means).
- *Some runs, and some rounds, are hit hard.* They are kept, but do not decide: a round counts with the median of the
  runs of both turns; blocks, and the answer from them, are Hodges-Lehmann estimates, and the interval is that of
  Wilcoxon's signed-rank test, exact for any symmetric noise.

Sources: J. L. Hodges and E. L. Lehmann, Estimates of location based on rank tests, Ann. Math. Statist. 34 (1963),
598-611; A. M. Law and J. S. Carson, A sequential procedure for determining the length of a steady-state simulation,
Operations Research 27 (1979), 1011-1025; T. Kalibera and R. Jones, Rigorous benchmarking in reasonable time, ISMM 2013.
"""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Any

from optkit.measure.latency_report import Speedup

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from optkit.measure.statistics import Interval

_BLOCKS = 16
"""Few enough that a block outlasts a disturbance, and as many as a bound at error 0.001 needs with some to spare."""


def paired_ratio(baseline: Sequence[Sequence[float]], candidate: Sequence[Sequence[float]], alpha: float) -> Speedup:
    """Returns the baseline's typical time over the candidate's, with two bounds, each at confidence 1 - alpha.

    Args:
        baseline: Turns, each with the times of as many runs, in any unit; every two turns are a round.
        candidate: Its turns of the same rounds, in the same unit.
        alpha: Error of each bound. Too few rounds for it give the bounds 0 and infinity.
    """
    blocks = _blocks(_log_rounds(baseline) - _log_rounds(candidate))
    lower, upper = signed_rank_interval(blocks, alpha)
    return Speedup(math.exp(hodges_lehmann(blocks)), (math.exp(lower), math.exp(upper)))


def hodges_lehmann(values: NDArray[Any]) -> float:
    """Returns the median of the means of all pairs of `values`, each value paired with itself too."""
    import numpy as np

    return float(np.median(_walsh_averages(values)))


def signed_rank_interval(values: NDArray[Any], alpha: float) -> Interval:
    """Returns bounds of the centre of symmetry of independent `values`, each at confidence 1 - alpha.

    They invert Wilcoxon's signed-rank test, with its exact distribution: 5 values have a bound at alpha 0.04, 10 at
    0.001; fewer give none (infinity).

    Args:
        values: (n,); time and memory are quadratic in n.
        alpha: Error of each bound.
    """
    import numpy as np

    beyond = _ranks_beyond(len(values), alpha)
    if beyond == 0:
        return (-math.inf, math.inf)
    averages = np.sort(_walsh_averages(values))
    return float(averages[beyond - 1]), float(averages[-beyond])


def _log_rounds(turns: Sequence[Sequence[float]]) -> NDArray[Any]:
    """Returns the median logarithm of the runs of each round, (rounds,)."""
    import numpy as np

    rounds = np.log(np.asarray(turns[: len(turns) // 2 * 2], np.float64)).reshape(len(turns) // 2, -1)
    medians: NDArray[Any] = np.median(rounds, axis=1)
    return medians


def _blocks(rounds: NDArray[Any]) -> NDArray[Any]:
    """Returns one number for each block of rounds; where there are few rounds, for each round."""
    import numpy as np

    count = len(rounds) if len(rounds) < 2 * _BLOCKS else _BLOCKS
    return np.array([hodges_lehmann(block) for block in np.array_split(rounds, count)])


def _walsh_averages(values: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    first, second = np.triu_indices(len(values))
    averages: NDArray[Any] = (values[first] + values[second]) / 2
    return averages


@cache
def _ranks_beyond(count: int, alpha: float) -> int:
    """Returns how many values of the signed-rank statistic of `count` values lie in a tail of at most `alpha`."""
    import numpy as np

    chances = np.ones(1)
    for rank in range(1, count + 1):  # the rank counts or does not, each with chance 1/2
        chances = (np.pad(chances, (0, rank)) + np.pad(chances, (rank, 0))) / 2
    return int((np.cumsum(chances) <= alpha).sum())
