"""Outputs and labels in the shapes that metrics take."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from optkit.core.errors import StepFailed, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from optkit.measure.predictions import Samples

_TWO = 2


def class_scores(samples: Samples, output: str) -> NDArray[Any]:
    """Returns one score for each of two or more classes, (n, classes); the axes that a pool leaves behind are dropped.

    Raises:
        UsageError: The output holds something else.
    """
    stacked = samples.stacked()
    if stacked is not None and stacked.shape[2:] and math.prod(stacked.shape[2:]) == 1:  # (classes, 1, 1): a pool's end
        stacked = stacked.reshape(stacked.shape[:2])
    if stacked is None or stacked.ndim != _TWO or stacked.shape[1] < _TWO:
        shape = "shapes that differ" if stacked is None else f"shape {stacked.shape[1:]}"
        raise UsageError(
            f"output '{output}' has {shape} per sample; one score for each of two or more classes is needed",
            hint="name another output, or use `cosine` or `mse`",
        )
    return stacked


def class_labels(samples: Samples, classes: int) -> NDArray[Any]:
    """Returns one class number a sample, int64, (n,).

    Raises:
        UsageError: The labels hold something else, or a class that the model does not have.
    """
    import numpy as np

    labels = samples.stacked()
    if labels is None or labels.ndim != 1 or not are_whole(labels):
        raise UsageError("accuracy needs one whole number per sample as its label: the index of the class")
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        raise UsageError(
            f"label {labels[wrong[0]]} of sample {wrong[0]} is out of range: the model has {classes} classes "
            f"(0 to {classes - 1}); so it is with {len(wrong)} of {len(labels)} labels"
        )
    return labels.astype(np.int64)


def decisions(samples: Samples, labels: Samples, output: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Returns scores and truth of classes that a sample has or has not, float64 and bool, both (n, classes).

    One number a sample, with labels 0 and 1, is a single class. One label a sample is spread over the classes.

    Raises:
        UsageError: Output and labels do not fit each other.
    """
    import numpy as np

    scores, truth = samples.stacked(), labels.stacked()
    if scores is not None and truth is not None and len(scores) == scores.size == truth.size:
        scores, truth = scores.reshape(-1, 1), truth.reshape(-1, 1)
    elif truth is not None and truth.ndim == 1:
        scores = class_scores(samples, output)
        truth = class_labels(labels, scores.shape[1])[:, None] == np.arange(scores.shape[1])
    if scores is None or truth is None or scores.shape != truth.shape or not np.isin(truth, (0, 1)).all():
        raise UsageError(
            f"output '{output}' and the labels do not fit: per sample there should be one score and a label of 0 or 1, "
            "or a score for each class and either the number of a class or 0 or 1 for each class",
            hint=f"found {_shape(samples)} and {_shape(labels)}",
        )
    return scores.astype(np.float64), truth.astype(bool)


def same_shape(ours: Samples, theirs: Samples, output: str) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Yields each sample of a model and of the baseline, flat, float64.

    Raises:
        StepFailed: A sample has different shapes.
    """
    for mine, reference in zip(ours, theirs, strict=True):
        if mine.shape != reference.shape:
            raise StepFailed(f"output '{output}' has shape {mine.shape} where the baseline's has {reference.shape}")
        yield _flat(mine), _flat(reference)


def like_labels(ours: Samples, labels: Samples, output: str) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Yields each sample and its label, flat, float64; axes of size 1 make no difference.

    Raises:
        UsageError: A sample and its label have different shapes.
    """
    import numpy as np

    for mine, label in zip(ours, labels, strict=True):
        if np.squeeze(mine).shape != np.squeeze(label).shape:
            raise UsageError(f"output '{output}' has shape {mine.shape} per sample, the label has {label.shape}")
        yield _flat(mine), _flat(label)


def are_whole(numbers: NDArray[Any]) -> bool:
    """Whether all are whole numbers."""
    import numpy as np

    return numbers.dtype.kind != "f" or bool((numbers == np.round(numbers)).all())


def _flat(array: NDArray[Any]) -> NDArray[Any]:
    return array.reshape(-1).astype("float64")


def _shape(samples: Samples) -> str:
    stacked = samples.stacked()
    return "shapes that differ" if stacked is None else f"shape {stacked.shape[1:]}"
