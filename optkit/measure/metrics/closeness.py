"""How far an output is from the baseline's, or from a label of its own shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from optkit.core.errors import UsageError
from optkit.measure.metrics.base import Metric
from optkit.measure.metrics.reading import like_labels, same_shape
from optkit.measure.scores import Means, Sums

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from optkit.measure.predictions import Predictions

EXACT_DB = 200.0
"""Signal-to-noise ratio of outputs that are equal: more than float32 can tell, and a finite number."""


@dataclass(frozen=True)
class Cosine(Metric):
    """Cosine between the output and the baseline's, each flattened."""

    relative: ClassVar[bool] = True

    def scores(self, predictions: Predictions, reference: Predictions) -> Means:
        """Returns the cosines; 1.0 where both are all zeros."""
        pairs = same_shape(self.samples_of(predictions), self.samples_of(reference), self.output)
        return Means(numbers(cosine(ours, theirs) for ours, theirs in pairs))


@dataclass(frozen=True)
class SignalToNoise(Metric):
    """Signal-to-quantization-noise ratio in dB: the noise is what the output differs by from the baseline's.

    Energies are summed over all samples. Equal outputs count as 200 dB.
    """

    relative: ClassVar[bool] = True

    def scores(self, predictions: Predictions, reference: Predictions) -> Sums:
        """Returns (n, 2): the energies of signal and noise."""
        pairs = same_shape(self.samples_of(predictions), self.samples_of(reference), self.output)
        return Sums(_table(((theirs @ theirs, _energy(ours - theirs)) for ours, theirs in pairs), 2), _decibels)


@dataclass(frozen=True)
class MeanSquaredError(Metric):
    """Mean squared difference between the output and the label."""

    needs_labels: ClassVar[bool] = True
    higher_is_better: ClassVar[bool] = False

    def scores(self, predictions: Predictions, reference: Predictions) -> Means:
        """Returns the mean squared error of each sample."""
        del reference
        pairs = like_labels(self.samples_of(predictions), self.labels_of(predictions), self.output)
        return Means(numbers(float(((ours - label) ** 2).mean()) for ours, label in pairs))


@dataclass(frozen=True)
class PeakSignalToNoise(Metric):
    """Peak signal-to-noise ratio in dB; the noise is what the output differs by from the label.

    The error is that over all samples. An output without any counts as 200 dB.
    """

    needs_labels: ClassVar[bool] = True

    peak: float = 1.0
    """Largest value less the smallest that the label can have: 1 for images in [0, 1], 255 for bytes."""

    def scores(self, predictions: Predictions, reference: Predictions) -> Sums:
        """Returns (n, 2): the peak's energy in as many values as the sample has, and that of the error."""
        del reference
        if not self.peak > 0:
            raise UsageError(f"peak should be a number above 0, not {self.peak:g}")
        pairs = like_labels(self.samples_of(predictions), self.labels_of(predictions), self.output)
        return Sums(_table(((self.peak**2 * ours.size, _energy(ours - label)) for ours, label in pairs), 2), _decibels)


def cosine(ours: NDArray[Any], theirs: NDArray[Any]) -> float:
    """Returns the cosine of two vectors; 1.0 if both are zero, 0.0 if one is."""
    import numpy as np

    if not ours.any() and not theirs.any():
        return 1.0
    with np.errstate(invalid="ignore", over="ignore"):
        norms = float(np.linalg.norm(ours) * np.linalg.norm(theirs))
        return float(ours @ theirs) / norms if norms else 0.0


def numbers(values: Iterable[float]) -> NDArray[Any]:
    """Returns values as an array, float64."""
    import numpy as np

    return np.fromiter(values, np.float64)


def _energy(difference: NDArray[Any]) -> float:
    return float(difference @ difference)


def _table(rows: Iterable[tuple[float, ...]], width: int) -> NDArray[Any]:
    import numpy as np

    return np.array(list(rows), np.float64).reshape(-1, width)


def _decibels(sums: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    signal, noise = sums.T
    found: NDArray[Any] = np.where(noise == 0, EXACT_DB, np.minimum(10 * np.log10(signal / noise), EXACT_DB))
    return found
