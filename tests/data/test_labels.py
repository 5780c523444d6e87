from __future__ import annotations

import numpy as np
import pytest

from optkit.core.errors import UsageError
from optkit.data.labels import class_numbers, read_label, read_text

CLASSES = class_numbers(("cat", "dog", "7"))


@pytest.mark.parametrize(
    ("value", "expected"),
    [("dog", 1), ("7", 2), ("1", 1), (2, 2), (np.uint8(2), 2), (1.0, 1), (np.array([0, 2]), [0, 2])],
)
def test_classes(value: object, expected: object) -> None:
    label = read_label(value, CLASSES)
    assert label.dtype == np.int64
    assert label.tolist() == expected


def test_wrong_class_suggests_the_nearest() -> None:
    with pytest.raises(UsageError, match="'dogg' is no class\ndid you mean 'dog'"):
        read_label("dogg", CLASSES)


@pytest.mark.parametrize("value", [3, -1, 0.5, "9", np.array([0, 5])])
def test_not_among_the_classes(value: object) -> None:
    with pytest.raises(UsageError, match="not among the 3 classes"):
        read_label(value, CLASSES)


@pytest.mark.parametrize(("value", "expected"), [("2.5", 2.5), (3, 3), (np.array([1.5, 2]), [1.5, 2.0])])
def test_numbers(value: object, expected: object) -> None:
    assert read_label(value, {}).tolist() == expected


@pytest.mark.parametrize("value", [None, b"x", {"a": 1}])
def test_no_number(value: object) -> None:
    with pytest.raises(UsageError, match="is no number"):
        read_label(value, {})


@pytest.mark.parametrize("classes", [{}, CLASSES])
@pytest.mark.parametrize("value", [float("nan"), "inf", np.array([0.0, np.nan])])
def test_not_finite(value: object, classes: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="is not finite"):
        read_label(value, classes)


def test_names_need_classes() -> None:
    with pytest.raises(UsageError, match=r"list class names under labels\.classes"):
        read_label("cat", {})


def test_text_is_kept_as_code_points() -> None:
    assert read_text("für").tolist() == [102, 252, 114]
    assert read_text("").shape == (0,)
    with pytest.raises(UsageError, match="the label 3 is no text"):
        read_text(3)
