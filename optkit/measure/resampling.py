"""What a bootstrap draws: the units that are independent of each other, and the rows that follow from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Resampling(Protocol):
    """How rows of scores are drawn anew."""

    @property
    def units(self) -> int:
        """How many independent units there are."""

    def draw(self, random: np.random.Generator) -> NDArray[Any]:
        """Returns the row numbers, int64, of as many units as there are, drawn with replacement."""

    def without(self, units: NDArray[Any]) -> NDArray[Any]:
        """Returns the row numbers, int64, that are left when these units are left out."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Each row is a unit.

    Attributes:
        units: Number of rows.
    """

    units: int

    def draw(self, random: np.random.Generator) -> NDArray[Any]:
        """Returns rows, each drawn on its own."""
        return random.integers(0, self.units, self.units)

    def without(self, units: NDArray[Any]) -> NDArray[Any]:
        """Returns the other rows."""
        import numpy as np

        return np.delete(np.arange(self.units), units)


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

    def draw(self, random: np.random.Generator) -> NDArray[Any]:
        """Returns the rows between the units that were drawn."""
        import numpy as np

        times = np.bincount(random.integers(0, self.units, self.units), minlength=self.units)
        return np.repeat(np.arange(len(self.first)), times[self.first] * times[self.second])

    def without(self, units: NDArray[Any]) -> NDArray[Any]:
        """Returns the rows that none of these units has a part in."""
        import numpy as np

        return np.flatnonzero(~(np.isin(self.first, units) | np.isin(self.second, units)))
