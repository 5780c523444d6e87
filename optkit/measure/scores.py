"""What a metric keeps of each sample of one model, and the value that follows from all of them or from any draw."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from optkit.measure.resampling import Rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from optkit.measure.resampling import Resampling

_WORTH_JOINING = 4


@dataclass(frozen=True, slots=True)
class Scores(ABC):
    """Rows, one a sample, from which a metric's value is computed.

    Attributes:
        rows: float64, (n,) or (n, k); NaN wherever an output is, so that a broken model never counts as a correct one.
    """

    rows: NDArray[Any]

    @abstractmethod
    def values(self, weights: NDArray[Any]) -> NDArray[Any]:
        """Returns the value of each draw, float64 (draws,); NaN for a draw that has none.

        Args:
            weights: float64, (draws, rows): how often each row counts.
        """

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def value(self) -> float:
        """The value of all rows; NaN if a row holds NaN."""
        import numpy as np

        if not len(self) or self.broken.any():
            return math.nan
        return float(self.values(np.ones((1, len(self))))[0])

    @property
    def broken(self) -> NDArray[Any]:
        """Which rows hold NaN: bool, (n,)."""
        import numpy as np

        broken: NDArray[Any] = np.isnan(self.rows.reshape(len(self), -1)).any(axis=1)
        return broken

    def only(self, rows: NDArray[Any]) -> Self:
        """Returns these rows."""
        return replace(self, rows=self.rows[rows])

    def of_samples(self, samples: NDArray[Any]) -> Self:
        """Returns what comes from these samples alone, bool, (samples,)."""
        return self.only(samples.nonzero()[0])

    def condensed(self, other: Self) -> tuple[Self, Self, Resampling]:
        """Returns both models' scores and how they are drawn; if most rows are repeated, equal ones are joined."""
        import numpy as np

        both = np.concatenate([each.rows.reshape(len(self), -1) for each in (self, other)], axis=1)
        _, first, counts = np.unique(both, axis=0, return_index=True, return_counts=True)
        if len(first) * _WORTH_JOINING > len(self):
            return self, other, Rows.single(len(self))
        return self.only(first), other.only(first), Rows(counts)


@dataclass(frozen=True, slots=True)
class Means(Scores):
    """One number a sample; their mean is the value."""

    def values(self, weights: NDArray[Any]) -> NDArray[Any]:
        """Returns the weighted means."""
        means: NDArray[Any] = weights @ self.rows / weights.sum(axis=1)
        return means


@dataclass(frozen=True, slots=True)
class Outcomes(Means):
    """Right (1) or wrong (0), sample by sample: these get score intervals instead of a bootstrap."""


@dataclass(frozen=True, slots=True)
class Sums(Scores):
    """Several numbers a sample, of which only the sums matter.

    Attributes:
        of: Sums (draws, k) → values (draws,).
    """

    of: Callable[[NDArray[Any]], NDArray[Any]]

    def values(self, weights: NDArray[Any]) -> NDArray[Any]:
        """Returns what follows from the weighted sums."""
        import numpy as np

        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return self.of(weights @ self.rows)
