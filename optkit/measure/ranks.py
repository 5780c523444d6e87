"""Ranks of values that count several times, for statistics of order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray


def mid_ranks(values: NDArray[Any], weights: NDArray[Any], chosen: NDArray[Any] | None = None) -> NDArray[Any]:
    """Returns the ranks, from 1, that values would have were each repeated as often as its weight says.

    Equal values share the middle of their ranks. Without repetition this is scipy.stats.rankdata.

    Args:
        values: float64, (n,).
        weights: float64, (n, draws).
        chosen: bool, (n,): whose ranks are wanted; all by default.

    Returns:
        float64, (chosen, draws).
    """
    below, upto = totals(values, weights, values if chosen is None else values[chosen])
    ranks: NDArray[Any] = (below + upto + 1) / 2
    return ranks


def totals(values: NDArray[Any], weights: NDArray[Any], limits: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Returns the weight of the values below each limit, and of those up to it, both float64, (limits, draws).

    Args:
        values: float64, (n,).
        weights: float64, (n, draws): draws stand in the columns, so that whole rows are moved and added.
        limits: float64, (limits,).
    """
    import numpy as np

    order = np.argsort(values, kind="stable")
    running = np.zeros((len(values) + 1, weights.shape[1]))
    np.cumsum(weights[order], axis=0, out=running[1:])
    first, last = (np.searchsorted(values[order], limits, side) for side in ("left", "right"))
    return running[first], running[last]
