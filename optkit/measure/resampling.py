"""What a bootstrap draws: units that are independent of each other, and how often each row of scores then counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

_JACKKNIFE_GROUPS = 200


class Resampling(Protocol):
    """How rows of scores are drawn anew. A draw is a weight for each row: how often it counts."""

    @property
    def units(self) -> int:
        """How many independent units there are."""

    @property
    def found(self) -> NDArray[Any]:
        """How often each row was found: float64, (rows,)."""

    def draw(self, random: np.random.Generator, draws: int) -> NDArray[Any]:
        """Returns weights, float64, (draws, rows), of as many units as there are, drawn with replacement."""

    def left_out(self) -> Iterator[tuple[NDArray[Any], float]]:
        """Yields the weights (rows,) that remain without some units, and for how many such sets they stand."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Each row is a unit, or stands for several units that are equal.

    Attributes:
        counts: int64, (rows,): how many units a row stands for.
    """

    counts: NDArray[Any]

    @classmethod
    def single(cls, rows: int) -> Rows:
        """Returns rows that are one unit each."""
        import numpy as np

        return cls(np.ones(rows, np.int64))

    @property
    def units(self) -> int:
        """All units."""
        return int(self.counts.sum())

    @property
    def found(self) -> NDArray[Any]:
        """The counts."""
        return self.counts.astype("float64")

    def draw(self, random: np.random.Generator, draws: int) -> NDArray[Any]:
        """Returns how often each row came, each unit drawn on its own."""
        if len(self.counts) < self.units:
            return random.multinomial(self.units, self.counts / self.units, draws).astype("float64")
        return _tally(random.integers(0, self.units, (draws, self.units)), self.units)

    def left_out(self) -> Iterator[tuple[NDArray[Any], float]]:
        """Yields the rows without one unit, or without one of at most 200 groups where no two units are equal."""
        import numpy as np

        if len(self.counts) < self.units:
            for row, count in enumerate(self.counts.tolist()):
                weights = self.found
                weights[row] -= 1
                yield weights, count
            return
        for group in np.array_split(np.arange(self.units), min(self.units, _JACKKNIFE_GROUPS)):
            weights = self.found
            weights[group] = 0
            yield weights, 1


@dataclass(frozen=True, slots=True)
class Pairs:
    """Each row belongs to two units, and one unit may have many rows, which are therefore not independent.

    A row counts as often as its units were drawn: the product of both counts.

    Attributes:
        units: Number of units.
        first: int64, (rows,): one unit of each row.
        second: int64, (rows,): the other.

    Source: T. A. B. Snijders and S. P. Borgatti, Non-parametric standard errors and tests for network statistics,
    Connections 22 (1999): the vertex bootstrap.
    """

    units: int
    first: NDArray[Any]
    second: NDArray[Any]

    @property
    def found(self) -> NDArray[Any]:
        """Each row once."""
        import numpy as np

        return np.ones(len(self.first))

    def draw(self, random: np.random.Generator, draws: int) -> NDArray[Any]:
        """Returns how often each row lies between units that were drawn."""
        times = _tally(random.integers(0, self.units, (draws, self.units)), self.units)
        weights: NDArray[Any] = times[:, self.first] * times[:, self.second]
        return weights

    def left_out(self) -> Iterator[tuple[NDArray[Any], float]]:
        """Yields the rows that a unit has no part in, or none of a group of units where there are more than 200."""
        import numpy as np

        for group in np.array_split(np.arange(self.units), min(self.units, _JACKKNIFE_GROUPS)):
            touched = np.isin(self.first, group) | np.isin(self.second, group)
            yield np.where(touched, 0.0, 1.0), 1


def _tally(drawn: NDArray[Any], units: int) -> NDArray[Any]:
    """Returns how often each of the units occurs in each row of `drawn`: float64, (draws, units)."""
    import numpy as np

    draws = len(drawn)
    places = drawn + units * np.arange(draws)[:, None]
    return np.bincount(places.ravel(), minlength=draws * units).reshape(draws, units).astype(np.float64)
