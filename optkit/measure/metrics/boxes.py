"""Boxes that a detector found, and those that are there, as tables of all images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from optkit.core.errors import UsageError
from optkit.measure.metrics.reading import are_whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Format = Literal["xyxy", "xywh", "cxcywh"]
"""Two corners; a corner and the size; or the centre and the size."""

_SIDES = 4
_PLAIN, _WITH_CROWD = 5, 6
_MATRIX = 2


def to_corner_and_size(boxes: NDArray[Any], form: Format) -> NDArray[Any]:
    """Returns boxes as (left, top, width, height), float64, (n, 4)."""
    import numpy as np

    first, second = np.split(boxes.astype(np.float64), 2, axis=1)
    with np.errstate(invalid="ignore"):  # infinite ones
        if form == "xyxy":
            second = second - first
        elif form == "cxcywh":
            first = first - second / 2
    return np.concatenate([first, second], axis=1)


def found_boxes(
    boxes: NDArray[Any], scores: NDArray[Any] | None, classes: NDArray[Any] | None, form: Format, where: str
) -> NDArray[Any]:
    """Returns what a model found in one image: (n, 6) of left, top, width, height, score and class.

    Boxes with a negative class or a score of minus infinity are padding.

    Args:
        boxes: (n, 4); without scores (n, 6), a row being a box, its score and its class.
        scores: (n,) or, for each class, (n, classes).
        classes: (n,); without it the class with the highest score.
        form: How boxes are given.
        where: Names the outputs and the sample in messages.

    Raises:
        UsageError: The shapes do not fit each other, or a class is no whole number.
    """
    import numpy as np

    parts = [each for each in _parts(boxes, scores, classes) if each is not None]
    count = len(boxes) if boxes.ndim else 0
    if [each.shape for each in parts] != [(count, _SIDES), (count,), (count,)]:
        shapes = [each.shape for each in (boxes, scores, classes) if each is not None]
        raise UsageError(
            f"{where}: shapes {', '.join(map(str, shapes))} are no boxes with scores and classes",
            hint="per sample: boxes (n, 4), box_scores (n,) and box_classes (n,); or box_scores (n, classes) alone; or "
            "neither, and rows (n, 6) of box, score and class",
        )
    table = np.column_stack([to_corner_and_size(parts[0], form), *parts[1:]])
    if not are_whole(table[np.isfinite(table[:, 5]), 5]):
        raise UsageError(f"{where}: its classes are no whole numbers")
    return table[~((table[:, 5] < 0) | np.isneginf(table[:, 4]))]


def _parts(
    boxes: NDArray[Any], scores: NDArray[Any] | None, classes: NDArray[Any] | None
) -> tuple[NDArray[Any], NDArray[Any] | None, NDArray[Any] | None]:
    """Returns boxes, scores and classes: taken out of rows, or the highest score and its class, where not given."""
    if scores is None and classes is None and boxes.ndim == _MATRIX and boxes.shape[1] == _SIDES + 2:
        return boxes[:, :_SIDES], boxes[:, _SIDES], boxes[:, _SIDES + 1]
    if scores is not None and classes is None and scores.ndim == _MATRIX and scores.shape[1]:
        return boxes, scores.max(axis=1), scores.argmax(axis=1)
    return boxes, scores, classes


def objects(labels: Sequence[NDArray[Any]], form: Format) -> NDArray[Any]:
    """Returns what the labels say is there: (n, 7) of image, left, top, width, height, class and crowd (0 or 1).

    Raises:
        UsageError: A label is no list of boxes and classes.
    """
    import numpy as np

    tables = [_objects_of_image(label, form, image) for image, label in enumerate(labels)]
    return np.concatenate([np.insert(table, 0, image, axis=1) for image, table in enumerate(tables)])


def _objects_of_image(label: NDArray[Any], form: Format, image: int) -> NDArray[Any]:
    import numpy as np

    if not label.size:
        return np.empty((0, _WITH_CROWD))
    if label.ndim != _MATRIX or label.shape[1] not in {_PLAIN, _WITH_CROWD}:
        raise UsageError(
            f"the label of sample {image} has shape {label.shape}; detection needs a row for each object: its box (4 "
            "numbers), its class and, if you like, 1 for a crowd",
            hint="a row whose class is -1 is padding",
        )
    label = label[label[:, 4] >= 0]
    table = np.zeros((len(label), _WITH_CROWD))
    table[:, :4] = to_corner_and_size(label[:, :4], form)
    table[:, 4 : label.shape[1]] = label[:, 4:]
    if not are_whole(table[:, 4]) or not np.isin(table[:, 5], (0, 1)).all():
        raise UsageError(f"the label of sample {image} holds a class that is no whole number, or a crowd not 0 or 1")
    if (table[:, 2:4] < 0).any():
        raise UsageError(
            f"the label of sample {image} holds a box of negative size, read as {form}",
            hint="label_format says how labels give their boxes: xyxy, xywh or cxcywh",
        )
    return table
