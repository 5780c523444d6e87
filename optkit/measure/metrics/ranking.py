"""How well scores put the samples of a class before the others: no threshold is chosen."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from optkit.measure.metrics.base import Metric
from optkit.measure.metrics.reading import class_scores, decisions
from optkit.measure.ranks import weights_by_level
from optkit.measure.scores import Scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from optkit.measure.predictions import Predictions, Samples

_BINARY = 2


@dataclass(frozen=True, slots=True)
class Ranked(Scores):
    """Rows of scores, then truth (0 or 1), of each class; the value is the mean over the classes that have both."""

    @abstractmethod
    def of_class(self, scores: NDArray[Any], truth: NDArray[Any], weights: NDArray[Any]) -> NDArray[Any]:
        """Returns the value of one class, (draws,).

        Args:
            scores: float64, (n,).
            truth: bool, (n,).
            weights: float64, (n, draws).
        """

    def values(self, weights: NDArray[Any]) -> NDArray[Any]:
        """Returns the mean over the classes that are defined in a draw; NaN where none is."""
        import numpy as np

        scores, truth = np.split(self.rows, 2, axis=1)
        drawn = np.ascontiguousarray(weights.T)
        with np.errstate(divide="ignore", invalid="ignore"):
            each = np.stack([self.of_class(*pair, drawn) for pair in zip(scores.T, truth.T > 0, strict=True)])
            defined = np.isfinite(each)
            found: NDArray[Any] = np.where(defined, each, 0.0).sum(axis=0) / defined.sum(axis=0)
        return found


class Areas(Ranked):
    """Areas under the receiver operating characteristic, by the rank sum of Mann and Whitney."""

    __slots__ = ()

    def of_class(self, scores: NDArray[Any], truth: NDArray[Any], weights: NDArray[Any]) -> NDArray[Any]:
        """Returns the area; ties count half."""
        import numpy as np

        positive, equal, between = weights_by_level(scores, truth, weights)
        lower = np.cumsum(between[:-1] + equal, axis=0) - equal / 2
        pairs = positive.sum(axis=0) * (equal.sum(axis=0) + between.sum(axis=0))
        area: NDArray[Any] = (positive * lower).sum(axis=0) / pairs
        return area


class Precisions(Ranked):
    """Average precisions: the sum over thresholds of precision times what recall gains there."""

    __slots__ = ()

    def of_class(self, scores: NDArray[Any], truth: NDArray[Any], weights: NDArray[Any]) -> NDArray[Any]:
        """Returns the average precision: the mean, over the positives, of the precision at their scores."""
        import numpy as np

        positive, equal, between = weights_by_level(scores, truth, weights)
        hits, wrong = (np.cumsum(each[::-1], axis=0)[::-1] for each in (positive, equal + between[1:]))
        precision = np.divide(hits, hits + wrong, out=np.zeros_like(hits), where=hits > 0)
        found: NDArray[Any] = (positive * precision).sum(axis=0) / positive.sum(axis=0)
        return found


@dataclass(frozen=True)
class Auroc(Metric):
    """Area under the receiver operating characteristic; with several classes each against the rest, then the mean."""

    needs_labels: ClassVar[bool] = True

    def scores(self, predictions: Predictions, reference: Predictions) -> Areas:
        """Returns (n, 2 classes): scores, then truth."""
        return Areas(_rows(self, predictions, reference))


@dataclass(frozen=True)
class AveragePrecision(Metric):
    """Average precision; with several classes or labels each by itself, then the mean (mAP)."""

    needs_labels: ClassVar[bool] = True

    def scores(self, predictions: Predictions, reference: Predictions) -> Precisions:
        """Returns (n, 2 classes): scores, then truth."""
        return Precisions(_rows(self, predictions, reference))


def _rows(metric: Metric, predictions: Predictions, reference: Predictions) -> NDArray[Any]:
    """Returns scores and truth beside each other.

    Where a sample has one label, classes are compared across samples, so logits go through a softmax first. The
    baseline's output says whether they are logits: probabilities sum to one. Of two classes only the second is kept.
    """
    import numpy as np
    from scipy.special import softmax

    samples, labels = metric.samples_of(predictions), metric.labels_of(predictions)
    scores, truth = decisions(samples, labels, metric.output)
    if scores.shape[1] > 1 and labels.shapes.shape[1] == 0:
        scores = scores if _are_probabilities(metric.samples_of(reference), metric.output) else softmax(scores, axis=1)
        if scores.shape[1] == _BINARY:
            scores, truth = scores[:, 1:], truth[:, 1:]
    return np.concatenate([scores, truth], axis=1)


def _are_probabilities(samples: Samples, output: str) -> bool:
    scores = class_scores(samples, output).astype("float64")
    return bool((scores >= 0).all() and (abs(scores.sum(axis=1) - 1) < 1e-2).all())  # noqa: PLR2004  # float16 and int8 round
