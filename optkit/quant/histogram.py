"""Streaming histograms of activations whose result does not depend on how the samples were batched."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

BINS = 8192
_HALF = BINS // 2
_BLOCK = 1 << 16
_POSITIONS = 512
"""Values that are counted of what lies behind a tensor's first two axes, such as a picture's pixels per channel."""
_SMALLEST = 2.0**-100  # below this all values are as good as zero; bins per unit must not overflow float32


def _no_counts() -> NDArray[Any]:
    import numpy as np

    return np.zeros(BINS, dtype=np.int64)


@dataclass(slots=True)
class Histogram:
    """Counts over `[-limit, limit)` in bins of equal width; `limit` is a power of two.

    A larger value doubles the limit and merges bins in pairs. Bin borders are multiples of a power of two, so merging
    is exact: adding arrays in any order or grouping gives the same counts.

    Attributes:
        low: Smallest value seen.
        high: Largest value seen.
        limit: Strictly above every magnitude seen, and at least 2^-100.
        counts: int64, `BINS` of them; where a tensor has many positions, a fixed part of them is counted.
    """

    low: float = math.inf
    high: float = -math.inf
    limit: float = _SMALLEST
    counts: NDArray[Any] = field(default_factory=_no_counts)

    def add(self, values: NDArray[Any]) -> None:
        """Adds finite values of any shape, float32 or narrower.

        Raises:
            ValueError: A value is NaN or infinite.
        """
        import numpy as np

        if values.size == 0:
            return
        low, high = float(values.min()), float(values.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            raise ValueError("values are not finite")
        self.low, self.high = min(self.low, low), max(self.high, high)
        self._grow(max(-low, high))
        self.counts += _count(_thinned(values).ravel().astype(np.float32, copy=False), _HALF / self.limit)

    def centers(self) -> NDArray[Any]:
        """Returns the float64 centre of each bin."""
        import numpy as np

        return (np.arange(BINS) - _HALF + 0.5) * (self.limit / _HALF)

    def edges(self) -> NDArray[Any]:
        """Returns the `BINS + 1` float64 borders."""
        import numpy as np

        return (np.arange(BINS + 1) - _HALF) * (self.limit / _HALF)

    def coarse(self, bins: int) -> list[int]:
        """Returns the counts in so many bins of equal width between the smallest and the largest value seen."""
        import numpy as np

        if not self.low < self.high:
            return []
        places = np.clip((self.centers() - self.low) * (bins / (self.high - self.low)), 0, bins - 1).astype(np.intp)
        return [int(count) for count in np.bincount(places, weights=self.counts, minlength=bins)]

    def _grow(self, magnitude: float) -> None:
        import numpy as np

        if magnitude < self.limit:
            return
        wanted = math.frexp(magnitude)[1]
        doublings = wanted - math.frexp(self.limit)[1] + 1
        merged = ((np.arange(BINS) - _HALF) >> min(doublings, 62)) + _HALF
        self.counts = np.bincount(merged, weights=self.counts, minlength=BINS).astype(np.int64)
        self.limit = math.ldexp(1.0, wanted)


def _thinned(values: NDArray[Any]) -> NDArray[Any]:
    """Returns evenly spread positions of each channel; which ones does not depend on the batch."""
    positions = math.prod(values.shape[2:])
    stride = positions // _POSITIONS
    if values.ndim <= 2 or stride <= 1:  # noqa: PLR2004  # (batch, channels)
        return values
    # An odd stride visits every column of a picture of even width.
    return values.reshape(*values.shape[:2], positions)[:, :, :: stride | 1]


def _count(values: NDArray[Any], bins_per_unit: float) -> NDArray[Any]:
    """Returns the values per bin; blocks stay in the cache, which is most of the speed."""
    import numpy as np

    counts = np.zeros(BINS, dtype=np.int64)
    scaled, index = np.empty(_BLOCK, np.float32), np.empty(_BLOCK, np.intp)
    for start in range(0, values.size, _BLOCK):
        block = values[start : start + _BLOCK]
        bins, places = scaled[: block.size], index[: block.size]
        # Scaling by a power of two is exact, and so are the floor and the sum of small integers. Only what vanishes
        # when it is scaled loses its sign: a negative value belongs below zero however small it is.
        np.multiply(block, np.float32(bins_per_unit), out=bins)
        np.floor(bins, out=bins)
        np.subtract(bins, 1, out=bins, where=(bins == 0) & (block < 0))
        np.add(bins, np.float32(_HALF), out=bins)
        np.copyto(places, bins, casting="unsafe")
        counts += np.bincount(places, minlength=BINS)
    return counts
