"""Slices of predictions, by class or by what the dataset names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optkit.core.errors import UsageError
from optkit.core.validate import did_you_mean
from optkit.data.slices import BY_LABEL, Slicing, slice_by
from optkit.measure.metrics.reading import are_whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from optkit.measure.predictions import Predictions


def slicing_of(predictions: Predictions, by: str, classes: Sequence[str] = ()) -> Slicing:
    """Returns which slice each sample is in.

    Args:
        predictions: With labels, or with slices of that name.
        by: `label`, or the name of a slicing of the dataset.
        classes: Names of the classes, by number, where they have any.

    Raises:
        UsageError: The dataset has no such slices, or labels that are no classes.
    """
    if by != BY_LABEL:
        if by not in predictions.slices:
            known = [*predictions.slices, *([BY_LABEL] if predictions.labels is not None else [])]
            raise UsageError(f"the dataset has no slices {by!r}", hint=did_you_mean(by, known))
        return predictions.slices[by]
    return _by_label(predictions, classes)


def _by_label(predictions: Predictions, classes: Sequence[str]) -> Slicing:
    import numpy as np

    labels = None if predictions.labels is None else predictions.labels.stacked()
    if labels is None or labels.ndim != 1 or not are_whole(labels):
        raise UsageError(
            "slices by label need one whole number per sample as its label: the index of the class",
            hint="name slices in the dataset, as in slices: {region: region}",
        )
    if classes:
        return Slicing(labels.astype(np.int64), tuple(classes))
    return slice_by(labels.tolist(), BY_LABEL)
