"""Ranks of values that count several times, for statistics of order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray


def mid_ranks(values: NDArray[Any], weights: NDArray[Any]) -> NDArray[Any]:
    """Returns the ranks, from 1, that the values would have were each repeated as often as its weight says.

    Equal values share the middle of their ranks. Without repetition this is scipy.stats.rankdata.

    Args:
        values: float64, (n,).
        weights: float64, (draws, n).

    Returns:
        float64, (draws, n).
    """
    import numpy as np

    _, group = np.unique(values, return_inverse=True)
    upto = running_totals(group, weights)
    before = np.concatenate([np.zeros((len(weights), 1)), upto[:, :-1]], axis=1)
    ranks: NDArray[Any] = ((before + upto + 1) / 2)[:, group]
    return ranks


def running_totals(group: NDArray[Any], weights: NDArray[Any]) -> NDArray[Any]:
    """Returns the weight of the groups up to each one, float64, (draws, groups).

    Args:
        group: int64, (n,): the group of each value; no group is empty.
        weights: float64, (draws, n).
    """
    import numpy as np

    order = np.argsort(group, kind="stable")
    last = np.searchsorted(group[order], np.arange(group.max(initial=-1) + 1), side="right") - 1
    totals: NDArray[Any] = np.cumsum(weights[:, order], axis=1)[:, last]
    return totals
