"""Labels: class numbers, or whatever numbers a metric compares with."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from optkit.core.errors import UsageError
from optkit.core.validate import did_you_mean
from optkit.data.preprocessing import NUMERIC_KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np


def class_numbers(classes: tuple[str, ...]) -> dict[str, int]:
    """Returns class name → class number."""
    return {name: number for number, name in enumerate(classes)}


def read_text(value: Any) -> np.ndarray:  # noqa: ANN401  # a cell of any reader
    """Returns a text as the code points of its characters, int64.

    Raises:
        UsageError: It is no text.
    """
    import numpy as np

    if not isinstance(value, str):
        raise UsageError(f"the label {value!r} is no text")
    return np.array([ord(char) for char in value], np.int64)


def read_label(value: Any, numbers: Mapping[str, int]) -> np.ndarray:  # noqa: ANN401  # a cell of any reader
    """Returns a label as a numeric array, int64 if it is a class.

    Args:
        value: A number, the name of a class, a text that holds a number or a JSON list, or an array of numbers.
        numbers: Class name → class number; empty if labels are not classes.

    Raises:
        UsageError: It names no class, lies outside the classes, or is no finite number.
    """
    import numpy as np

    if isinstance(value, str):
        value = numbers.get(value, value)
    if isinstance(value, str):
        value = _listed(value) if value.lstrip().startswith("[") else _number(value, numbers)
    array = np.asarray(value)
    if array.dtype.kind not in NUMERIC_KINDS:
        raise UsageError(f"the label {value!r} is no number")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise UsageError(f"the label {value!r} is not finite")
    return _checked_classes(array, len(numbers)) if numbers else array


def empty_ones_alike(labels: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Returns labels, those that hold nothing with dtype and rank of the others: an empty list does not say either."""
    import numpy as np

    filled = next((label for label in labels if label.size and label.ndim), None)
    if filled is None:
        return list(labels)
    return [label if label.size else np.empty((0, *filled.shape[1:]), filled.dtype) for label in labels]


def _listed(text: str) -> np.ndarray:
    """Returns a JSON list of numbers, or of lists of them, as float64."""
    import numpy as np

    try:
        return np.asarray(json.loads(text), np.float64)
    except (ValueError, TypeError, RecursionError):
        raise UsageError(
            f"the label {text[:40]!r} is no JSON list of numbers", hint="for boxes, as in [[10, 20, 50, 80, 3]]"
        ) from None


def _number(text: str, numbers: Mapping[str, int]) -> float:
    try:
        return float(text)
    except ValueError:
        if numbers:
            raise UsageError(f"the label {text!r} is no class", hint=did_you_mean(text, numbers)) from None
        raise UsageError(f"the label {text!r} is no number", hint="list class names under labels.classes") from None


def _checked_classes(array: np.ndarray, count: int) -> np.ndarray:
    import numpy as np

    whole = array.astype(np.int64)
    if not np.array_equal(whole, array) or whole.min(initial=0) < 0 or whole.max(initial=0) >= count:
        raise UsageError(f"the label {array.tolist()} is not among the {count} classes (0 to {count - 1})")
    return whole
