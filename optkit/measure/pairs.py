"""Pairs of samples that people scored, as the samples' labels tell them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from optkit.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

HALVES = 2


def scored_pairs(labels: Sequence[NDArray[Any]]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Returns the pairs in the order of their numbers: samples, int64 (pairs, 2), and scores, float64 (pairs,).

    Args:
        labels: Of each sample its pairs, (k, 2): the pair's number, and its score. The two samples with the same number
            are the pair; a pair whose other half is not among the samples does not count. A negative number is padding.

    Raises:
        UsageError: A label has another shape, a pair has more than two halves or two scores, or no pair is complete.
    """
    import numpy as np

    wrong = [index for index, label in enumerate(labels) if label.ndim != HALVES or label.shape[1] != HALVES]
    if wrong:
        raise UsageError(
            f"the label of sample {wrong[0]} has shape {list(labels[wrong[0]].shape)}; similarity needs rows of "
            "[number of the pair, score]"
        )
    owner = np.repeat(np.arange(len(labels)), [len(label) for label in labels])
    table = np.concatenate([np.asarray(label, np.float64) for label in labels])
    kept = table[:, 0] >= 0
    owner, table = owner[kept], table[kept]
    order = np.lexsort((owner, table[:, 0]))
    return _joined(owner[order], table[order])


def _joined(owner: NDArray[Any], table: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Joins halves of equal numbers, which stand next to each other."""
    import numpy as np

    numbers, starts, counts = np.unique(table[:, 0], return_index=True, return_counts=True)
    crowded = np.flatnonzero(counts > HALVES)
    if len(crowded):
        raise UsageError(f"pair {numbers[crowded[0]]:g} has {counts[crowded[0]]} samples; a pair has two")
    whole = starts[counts == HALVES]
    if not len(whole):
        raise UsageError("no two samples share the number of a pair", hint="are the halves in different splits?")
    differ = np.flatnonzero(table[whole, 1] != table[whole + 1, 1])
    if len(differ):
        row = whole[differ[0]]
        raise UsageError(f"pair {table[row, 0]:g} has two scores: {table[row, 1]:g} and {table[row + 1, 1]:g}")
    return np.stack([owner[whole], owner[whole + 1]], axis=1), table[whole, 1]
