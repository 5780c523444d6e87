"""F1: the harmonic mean of precision and recall."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from optkit.measure.metrics.base import Metric
from optkit.measure.metrics.reading import class_labels, class_scores, decisions
from optkit.measure.scores import Scores, Sums

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from optkit.measure.predictions import Predictions

Average = Literal["macro", "micro"]


@dataclass(frozen=True, slots=True)
class Decided(Scores):
    """Rows of (label, class that the model puts first).

    Attributes:
        classes: How many classes there are.
        average: Over classes or over samples.
    """

    classes: int
    average: Average

    def values(self, weights: NDArray[Any]) -> NDArray[Any]:
        """Returns F1 of the weighted counts of right and wrong per class."""
        import numpy as np

        label, decided = self.rows.astype(np.int64).T
        hits = _per_class(np.where(label == decided, weights, 0.0), label, self.classes)
        counts = [hits, _per_class(weights, label, self.classes), _per_class(weights, decided, self.classes)]
        return _f1(counts, self.average)


@dataclass(frozen=True)
class F1(Metric):
    """F1 of one label a sample, of yes or no (one score a sample), or of several labels a sample."""

    needs_labels: ClassVar[bool] = True
    discrete: ClassVar[bool] = True

    average: Average = "macro"
    """Mean over the classes that occur, or one count over all classes."""
    threshold: float = 0.5
    """Score above which a label is given, where a sample may have several or none: 0 if the scores are logits."""

    def scores(self, predictions: Predictions, reference: Predictions) -> Scores:
        """Returns (n, 2), label and decision; for several labels a sample (n, 3 classes): hits, labels, decisions."""
        import numpy as np

        del reference
        samples, labels = self.samples_of(predictions), self.labels_of(predictions)
        if labels.shapes.shape[1] == 0 and samples.shapes.prod(axis=1).max(initial=0) > 1:
            scores = class_scores(samples, self.output)
            rows = np.stack([class_labels(labels, scores.shape[1]), scores.argmax(axis=1)], axis=1).astype(np.float64)
            rows[np.isnan(scores).any(axis=1)] = np.nan
            return Decided(rows, scores.shape[1], self.average)
        scores, truth = decisions(samples, labels, self.output)
        given = scores > self.threshold
        rows = np.concatenate([given & truth, truth, given], axis=1).astype(np.float64)
        rows[np.isnan(scores).any(axis=1)] = np.nan
        return Sums(rows, self._of_sums)

    def _of_sums(self, sums: NDArray[Any]) -> NDArray[Any]:
        import numpy as np

        return _f1(np.split(sums, 3, axis=1), self.average)


def _per_class(weights: NDArray[Any], classes: NDArray[Any], count: int) -> NDArray[Any]:
    """Returns the weight of each class in each draw, (draws, classes)."""
    import numpy as np

    places = classes + count * np.arange(len(weights))[:, None]
    sums = np.bincount(places.ravel(), weights.ravel(), minlength=count * len(weights))
    return sums.reshape(len(weights), count)


def _f1(counts: list[NDArray[Any]], average: Average) -> NDArray[Any]:
    """Returns F1 (draws,) of hits, labels and decisions, each (draws, classes); NaN where there is nothing to count."""
    import numpy as np

    if average == "micro":
        counts = [each.sum(axis=1, keepdims=True) for each in counts]
    hits, labels, decided = counts
    occurs = labels + decided > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        each = np.where(occurs, 2 * hits / (labels + decided), 0.0)
        found: NDArray[Any] = each.sum(axis=1) / occurs.sum(axis=1)
    return found
