"""Streaming statistics of a tensor's channels: what equalisation, smoothing and bias correction read."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray


class ChannelStatistics:
    """Peak, mean and mean square per channel, over every other axis.

    Peaks do not depend on how the samples were batched; means do by float64 rounding.
    """

    def __init__(self, axis: int) -> None:
        """Takes the axis of channels, from the right: -1 is the last."""
        self.axis = axis
        self.count = 0
        self._peak: NDArray[Any] | None = None
        self._sum: NDArray[Any] | None = None
        self._squares: NDArray[Any] | None = None

    def add(self, values: NDArray[Any]) -> None:
        """Adds finite float values, whose number of channels must stay the same.

        Raises:
            ValueError: A value is NaN or infinite.
        """
        import numpy as np

        if values.size == 0:
            return
        channels = values.shape[self.axis]
        # (before, channel, after): neither part is copied.
        after = math.prod(values.shape[values.ndim + self.axis + 1 :])
        block = values.reshape(-1, channels, after)
        peak = np.maximum(block.max(axis=(0, 2)), -block.min(axis=(0, 2))).astype(np.float64)
        if not np.isfinite(peak).all():
            raise ValueError("values are not finite")
        self.count += block.size // channels
        self._peak = peak if self._peak is None else np.maximum(self._peak, peak)
        total = block.sum(axis=2, dtype=np.float64).sum(axis=0)
        squares = np.einsum("bca,bca->bc", block, block).sum(axis=0, dtype=np.float64)
        self._sum = total if self._sum is None else self._sum + total
        self._squares = squares if self._squares is None else self._squares + squares

    @property
    def peak(self) -> NDArray[Any]:
        """Largest magnitude, float64[channels]."""
        return self._known(self._peak)

    @property
    def mean(self) -> NDArray[Any]:
        """Mean, float64[channels]."""
        return self._known(self._sum) / self.count

    @property
    def power(self) -> NDArray[Any]:
        """Mean square, float64[channels]."""
        return self._known(self._squares) / self.count

    @staticmethod
    def _known(values: NDArray[Any] | None) -> NDArray[Any]:
        if values is None:
            raise ValueError("nothing was added")
        return values
