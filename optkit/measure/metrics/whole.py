"""Metrics that know only sets of samples: what somebody else's code returns for all of them at once."""

from __future__ import annotations

from collections.abc import Callable  # noqa: TC003  # dataclass resolves it
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optkit.measure.scores import Scores

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Whole(Scores):
    """Rows are the numbers of samples, (n, 1); each draw costs a call.

    Attributes:
        of: Numbers of samples, int64, in which one may stand several times → their value.
    """

    of: Callable[[NDArray[Any]], float]

    @classmethod
    def every(cls, count: int, of: Callable[[NDArray[Any]], float]) -> Whole:
        """Returns all of `count` samples."""
        import numpy as np

        return cls(np.arange(count, dtype=np.float64)[:, None], of)

    def values(self, weights: NDArray[Any]) -> NDArray[Any]:
        """Returns what each draw's samples come to."""
        import numpy as np

        samples = self.rows[:, 0].astype(np.int64)
        return np.array([self.of(np.repeat(samples, draw.astype(np.int64))) for draw in weights], np.float64)
