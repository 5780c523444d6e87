"""Ranks of values that count several times, for statistics of order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray


def mid_ranks(values: NDArray[Any], weights: NDArray[Any]) -> NDArray[Any]:
    """Returns the ranks, from 1, that values would have were each repeated as often as its weight says.

    Equal values share the middle of their ranks. Without repetition this is scipy.stats.rankdata.

    Args:
        values: float64, (n,).
        weights: float64, (n, draws): draws stand in the columns, so that whole rows are moved and added.

    Returns:
        float64, (n, draws).
    """
    import numpy as np

    levels, level = np.unique(values, return_inverse=True)
    here = _sums(level, len(levels), weights)
    ranks: NDArray[Any] = (np.cumsum(here, axis=0) - (here - 1) / 2)[level]
    return ranks


def weights_by_level(
    scores: NDArray[Any], truth: NDArray[Any], weights: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Returns how much stands at, and between, the different scores that positives have, from the lowest up.

    All that ranks positives among the others follows from these sums, which are far fewer than the samples.

    Args:
        scores: float64, (n,).
        truth: bool, (n,): the positives.
        weights: float64, (n, draws).

    Returns:
        Weight of the positives at each level, (levels, draws); of the others that tie with it, (levels, draws); and of
        the others below the lowest level, between each two, and above the highest, (levels + 1, draws).
    """
    import numpy as np

    levels = np.unique(scores[truth])
    count, place = len(levels), np.searchsorted(levels, scores)
    ties = np.append(levels, np.nan)[place] == scores
    row = np.where(truth, place, np.where(ties, count + place, 2 * count + place))
    positive, equal, between = np.split(_sums(row, 3 * count + 1, weights), [count, 2 * count])
    return positive, equal, between


def _sums(row: NDArray[Any], rows: int, weights: NDArray[Any]) -> NDArray[Any]:
    """Returns the sums of the weights (n, draws) that go to each row, (rows, draws)."""
    import numpy as np
    from scipy.sparse import csr_array

    count = len(row)
    found: NDArray[Any] = csr_array((np.ones(count), (row, np.arange(count))), shape=(rows, count)) @ weights
    return found
