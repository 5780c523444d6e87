"""What a bootstrap draws: units that are independent of each other, and how often each row of scores then counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

_JACKKNIFE = 200


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
        """Yields the weights (rows,) that remain without one unit, and how many units that one stands for."""


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
        """Yields the rows without one of each kind; where no two units are equal, without one of 200 at most."""
        joined = len(self.counts) < self.units
        for row in range(len(self.counts)) if joined else _spread(self.units):
            weights = self.found
            weights[row] -= 1
            yield weights, float(self.counts[row]) if joined else max(1.0, self.units / _JACKKNIFE)


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
        """Yields the rows that a unit has no part in, of 200 units at most."""
        import numpy as np

        for unit in _spread(self.units):
            touched = (self.first == unit) | (self.second == unit)
            yield np.where(touched, 0.0, 1.0), max(1.0, self.units / _JACKKNIFE)


def _spread(units: int) -> list[int]:
    """Returns 200 units, evenly spread, or all if there are fewer."""
    chosen = min(units, _JACKKNIFE)
    return [index * units // chosen for index in range(chosen)]


def _tally(drawn: NDArray[Any], units: int) -> NDArray[Any]:
    """Returns how often each of the units occurs in each row of `drawn`: float64, (draws, units)."""
    import numpy as np

    draws = len(drawn)
    places = drawn + units * np.arange(draws)[:, None]
    return np.bincount(places.ravel(), minlength=draws * units).reshape(draws, units).astype(np.float64)
