"""Detection: boxes with scores and classes, against the objects that are there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from optkit.core.errors import UsageError
from optkit.measure.metrics.base import Metric
from optkit.measure.metrics.boxes import Format, found_boxes, objects
from optkit.measure.metrics.coco import Matches, match
from optkit.measure.scores import Scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from optkit.measure.predictions import Predictions

_RECALLS = 101
_CHUNK_ELEMENTS = 2**22


@dataclass(frozen=True, slots=True)
class Detections(Scores):
    """Rows are the number of an image, then how many objects were found in it at each threshold.

    Attributes:
        matches: Of each class, over all images.
    """

    matches: tuple[Matches, ...]

    def values(self, weights: NDArray[Any]) -> NDArray[Any]:
        """Returns the mean over the classes that have objects in a draw; NaN where none has."""
        import numpy as np

        boxes = max((len(each.image) for each in self.matches), default=0)
        parts = -(-len(weights) * boxes // _CHUNK_ELEMENTS) or 1
        return np.concatenate([self._values(part) for part in np.array_split(weights, min(parts, len(weights)))])

    def _values(self, weights: NDArray[Any]) -> NDArray[Any]:
        import numpy as np

        if not self.matches:
            return np.full(len(weights), np.nan)
        times = np.zeros((len(self.matches[0].objects), len(weights)))
        times[self.rows[:, 0].astype(np.int64)] = weights.T
        each = np.stack([_average_precision(matches, times) for matches in self.matches])
        defined = np.isfinite(each)
        with np.errstate(invalid="ignore"):
            found: NDArray[Any] = np.where(defined, each, 0.0).sum(axis=0) / defined.sum(axis=0)
        return found


@dataclass(frozen=True)
class DetectionMap(Metric):
    """Mean average precision of boxes, as in the COCO challenge: over classes, and over thresholds of their overlap.

    `output` holds the boxes (boxes, 4) or, with neither `box_scores` nor `box_classes`, rows of (box, score, class).
    Labels have a row for each object: its box, its class and, if you like, 1 for a crowd. A class of -1 is padding.
    """

    needs_labels: ClassVar[bool] = True
    discrete: ClassVar[bool] = True

    box_scores: str | None = None
    """Output with the score of each box (boxes,), or of each class for it (boxes, classes)."""
    box_classes: str | None = None
    """Output with the class of each box; without it the class that scores highest."""
    format: Format = "xyxy"
    """What four numbers say of a box: two corners, a corner and its size, or its centre and its size."""
    label_format: Format | None = None
    """The same for labels; by default as for the output."""
    iou: float | None = None
    """Intersection over union from which a box has found an object; by default the mean over 0.50, 0.55, ..., 0.95."""
    most: int = 100
    """How many boxes of an image and class count: those with the highest scores."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """Boxes, scores and classes."""
        return tuple(name for name in (self.output, self.box_scores, self.box_classes) if name)

    def scores(self, predictions: Predictions, reference: Predictions) -> Detections:
        """Returns (images, 1 + thresholds): the image, and how many objects were found in it.

        Raises:
            UsageError: Outputs or labels are no boxes.
            MissingDependency: pycocotools is absent.
        """
        import numpy as np

        del reference
        there = objects(self.labels_of(predictions), self.label_format or self.format)
        tables = [self._found(predictions, image) for image in range(len(predictions))]
        broken = [not np.isfinite(table).all() for table in tables]
        kept = [
            np.insert(table, 0, image, axis=1) for image, table in enumerate(tables) if not broken[image] and len(table)
        ]
        found = np.concatenate(kept) if kept else np.empty((0, 7))
        matches = tuple(match(found, there, len(tables), self._thresholds(), self.most))
        rows = np.column_stack([np.arange(len(tables)), *self._hits(matches, len(tables))]).astype(np.float64)
        rows[broken] = np.nan
        return Detections(rows, matches)

    def _found(self, predictions: Predictions, image: int) -> NDArray[Any]:
        boxes, *others = (self.samples_of(predictions, name)[image] for name in self.outputs)
        named = dict(zip([name for name in ("box_scores", "box_classes") if getattr(self, name)], others, strict=True))
        where = f"output '{self.output}' of sample {image}"
        return found_boxes(boxes, named.get("box_scores"), named.get("box_classes"), self.format, where)

    def _thresholds(self) -> list[float]:
        import numpy as np

        if self.iou is None:
            return list(np.linspace(0.5, 0.95, 10))
        if not 0 < self.iou <= 1:
            raise UsageError(f"iou should be above 0 and at most 1, not {self.iou:g}")
        return [self.iou]

    def _hits(self, matches: tuple[Matches, ...], images: int) -> NDArray[Any]:
        """Returns how many objects were found, (thresholds, images)."""
        import numpy as np

        hits = np.zeros((len(self._thresholds()), images))
        for each in matches:
            for threshold, right in enumerate(each.right):
                hits[threshold] += np.bincount(each.image[right], minlength=images)
        return hits


def _average_precision(matches: Matches, times: NDArray[Any]) -> NDArray[Any]:
    """Returns the mean over the thresholds, (draws,); NaN for a draw without objects.

    Args:
        matches: Of one class.
        times: float64, (images, draws): how often each image counts.
    """
    import numpy as np

    there, drawn = matches.objects @ times, times[matches.image]
    running = np.cumsum(drawn, axis=0)
    found = np.zeros(times.shape[1])
    for right, ignored in zip(matches.right, matches.ignored, strict=True):
        passed_over = np.cumsum(drawn * ignored[:, None], axis=0)[right] if ignored.any() else 0.0
        found += _interpolated(np.cumsum(drawn[right], axis=0), running[right] - passed_over, there)
    return np.where(there > 0, found / len(matches.right), np.nan)


def _interpolated(hits: NDArray[Any], boxes: NDArray[Any], there: NDArray[Any]) -> NDArray[Any]:
    """Returns the mean over 101 recalls of the best precision that is reached with at least that recall, (draws,).

    Args:
        hits: float64, (right boxes, draws): objects found down to each right box.
        boxes: Likewise, boxes that count.
        there: float64, (draws,): objects to find.
    """
    import numpy as np

    precision = np.divide(hits, boxes, out=np.zeros_like(hits), where=boxes > 0)
    best = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
    recall = np.divide(hits, there, out=np.zeros_like(hits), where=there > 0)
    reached = np.searchsorted(np.linspace(0, 1, _RECALLS), recall, side="right")
    found: NDArray[Any] = (best * np.diff(reached, axis=0, prepend=0)).sum(axis=0) / _RECALLS
    return found
