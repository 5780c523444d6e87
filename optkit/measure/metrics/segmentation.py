"""Segmentation: a class for each pixel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from optkit.core.errors import UsageError
from optkit.measure.metrics.base import Metric
from optkit.measure.metrics.reading import are_whole
from optkit.measure.scores import Sums

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from optkit.measure.predictions import Predictions


@dataclass(frozen=True)
class MeanIou(Metric):
    """Mean over the classes of intersection over union, of the pixels of all samples.

    The output is a score for each class and pixel (classes, height, width), or the number of a class for each pixel.
    """

    needs_labels: ClassVar[bool] = True
    discrete: ClassVar[bool] = True

    classes: int | None = None
    """How many classes there are; needed where the output holds their numbers."""
    ignore: int | None = 255
    """Label of the pixels that do not count."""

    def scores(self, predictions: Predictions, reference: Predictions) -> Sums:
        """Returns (n, 2 classes): pixels in both, then pixels in either, per class."""
        import numpy as np

        del reference
        pairs = zip(self.samples_of(predictions), self.labels_of(predictions), strict=True)
        rows = [self._counts(output, label, index) for index, (output, label) in enumerate(pairs)]
        if len({len(row) for row in rows}) > 1:
            raise UsageError(f"output '{self.output}' has not the same number of classes for all samples")
        return Sums(np.array(rows), _mean_iou)

    def _counts(self, output: NDArray[Any], label: NDArray[Any], index: int) -> NDArray[Any]:
        import numpy as np

        output, label = (array[0] if array.ndim and array.shape[0] == 1 else array for array in (output, label))
        decided, classes = self._decided(output, label)
        counted = np.ones(label.shape, bool) if self.ignore is None else label != self.ignore
        truth, decided = label[counted], decided[counted]
        self._check(truth, classes, f"the label of sample {index}")
        if decided.dtype.kind == "f" and np.isnan(decided).any():
            return np.full(2 * classes, np.nan)
        self._check(decided, classes, f"output '{self.output}' of sample {index}")
        both, ours, theirs = (
            np.bincount(part.astype(np.int64), minlength=classes) for part in (truth[truth == decided], decided, truth)
        )
        return np.concatenate([both, ours + theirs - both]).astype(np.float64)

    def _decided(self, output: NDArray[Any], label: NDArray[Any]) -> tuple[NDArray[Any], int]:
        """Returns the class of each pixel, NaN where a score is, and the number of classes."""
        import numpy as np

        if output.shape == label.shape:
            if self.classes is None:
                raise UsageError(
                    f"output '{self.output}' holds a number for each pixel, from which the number of classes does not "
                    "follow",
                    hint="add classes: N",
                )
            return output, self.classes
        if output.shape[1:] != label.shape:
            raise UsageError(
                f"output '{self.output}' has shape {output.shape} per sample, the label has {label.shape}; it should "
                "have the label's, or that with the classes before it",
                hint="give labels in the size of the output",
            )
        return np.where(np.isnan(output).any(axis=0), np.nan, output.argmax(axis=0)), len(output)

    def _check(self, found: NDArray[Any], classes: int, what: str) -> None:
        if not are_whole(found) or (len(found) and not 0 <= found.min() <= found.max() < classes):
            raise UsageError(
                f"{what} holds something else than the numbers of {classes} classes (0 to {classes - 1})",
                hint="`ignore` names the label of pixels that do not count",
            )


def _mean_iou(sums: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    both, either = np.split(sums, 2, axis=1)
    occurs = either > 0
    each = np.divide(both, either, out=np.zeros_like(both), where=occurs)
    found: NDArray[Any] = each.sum(axis=1) / occurs.sum(axis=1)
    return found
