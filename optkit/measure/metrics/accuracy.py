"""Right or wrong, sample by sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from optkit.core.errors import UsageError
from optkit.measure.metrics.base import Metric
from optkit.measure.metrics.reading import class_labels, class_scores
from optkit.measure.scores import Outcomes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from optkit.measure.predictions import Predictions


@dataclass(frozen=True)
class Accuracy(Metric):
    """Share of samples whose label is among the k highest scores."""

    needs_labels: ClassVar[bool] = True

    k: int = 1
    """How many of the highest scores may hold the label."""

    def scores(self, predictions: Predictions, reference: Predictions) -> Outcomes:
        """Returns 1.0 where the label is among the k highest scores (ties go to the lower class), else 0.0."""
        del reference
        scores = class_scores(self.samples_of(predictions), self.output)
        if not 1 <= self.k <= scores.shape[1]:
            raise UsageError(f"k is {self.k}, but output '{self.output}' has {scores.shape[1]} classes")
        labels = class_labels(self.labels_of(predictions), scores.shape[1])
        return _outcomes(_rank_of(scores, labels) < self.k, scores)


@dataclass(frozen=True)
class Agreement(Metric):
    """Share of samples where the highest score is at the same class as the baseline's."""

    relative: ClassVar[bool] = True

    def scores(self, predictions: Predictions, reference: Predictions) -> Outcomes:
        """Returns 1.0 where both put the same class first, else 0.0."""
        ours = class_scores(self.samples_of(predictions), self.output)
        theirs = class_scores(self.samples_of(reference), self.output)
        return _outcomes(ours.argmax(axis=1) == theirs.argmax(axis=1), ours, theirs)


def _rank_of(scores: NDArray[Any], labels: NDArray[Any]) -> NDArray[Any]:
    """How many classes stand before the label's: higher ones, and equal ones with a lower index (as argmax has it)."""
    import numpy as np

    own = np.take_along_axis(scores, labels[:, None], axis=1)
    before = np.arange(scores.shape[1]) < labels[:, None]
    rank: NDArray[Any] = ((scores > own) | ((scores == own) & before)).sum(axis=1)
    return rank


def _outcomes(right: NDArray[Any], *scores: NDArray[Any]) -> Outcomes:
    import numpy as np

    broken = np.any([np.isnan(score).any(axis=1) for score in scores], axis=0)
    return Outcomes(np.where(broken, np.nan, right.astype(np.float64)))
