from __future__ import annotations

import numpy as np
import pytest

from optkit.core.errors import UsageError
from optkit.data.labels import class_numbers, empty_ones_alike, read_label, read_text

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


def test_a_list_in_a_table_is_json() -> None:
    label = read_label("[[1, 2, 3, 4, 0], [5, 6, 7, 8.5, 1]]", {})
    assert label.dtype == np.float64
    assert label.tolist() == [[1, 2, 3, 4, 0], [5, 6, 7, 8.5, 1]]


@pytest.mark.parametrize("text", ["[1, 2", '["a"]', "[[1], [2, 3]]", "[{}]", "[" * 100_000, "[1e999]", "[NaN]"])
def test_a_damaged_list_is_said(text: str) -> None:
    with pytest.raises(UsageError, match=r"is no JSON list of numbers|is not finite"):
        read_label(text, {})


def test_empty_labels_take_after_the_others() -> None:
    boxes = np.array([[1, 2, 3, 4, 0]], np.float32)
    empty, kept = empty_ones_alike([np.asarray([]), boxes])
    assert empty.shape == (0, 5)
    assert empty.dtype == np.float32
    assert kept is boxes
    assert [label.shape for label in empty_ones_alike([np.asarray([]), np.asarray([])])] == [(0,), (0,)]
