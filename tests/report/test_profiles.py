from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from optkit.report.profiles import profiles, slowest

if TYPE_CHECKING:
    from optkit.core.results import RunReport


def test_what_was_not_timed_is_left_out(approved: RunReport) -> None:
    assert list(profiles(approved)) == ["mnist-cnn (torch)", "quantize (onnxruntime)"]
    untimed = replace(approved, candidates=(replace(approved.candidates[0], timing=None),))
    assert list(profiles(untimed)) == ["mnist-cnn (torch)"]


def test_models_stand_side_by_side_and_the_first_row_is_all_of_each(approved: RunReport) -> None:
    found = profiles(approved)
    found["mnist-cnn (torch)"] = replace(found["mnist-cnn (torch)"], conversion_share=0.0)
    sheet = slowest(found, "operators", 2)
    assert sheet.header == ("", "mnist-cnn (torch)", "time", "quantize (onnxruntime)", "time")
    assert [row.cells for row in sheet.rows] == [
        ("all", "3 operators, 0 % int8", "1.55 ms", "3 operators, 90 % int8, 10 % converting", "0.5 ms"),
        ("1", "aten::conv2d features.0|*", "0.93 ms, 60 %", "QLinearConv features.0|*", "0.3 ms, 60 %"),
        ("2", "aten::conv2d features.1", "0.465 ms, 30 %", "QLinearConv features.1", "0.15 ms, 30 %"),
    ]


def test_a_shorter_list_ends_with_empty_cells(approved: RunReport) -> None:
    found = profiles(approved)
    short = replace(found["quantize (onnxruntime)"], operators=())
    rows = slowest({"a": found["mnist-cnn (torch)"], "b": short}, "operators", 20).rows
    assert [row.cells[3:] for row in rows[1:]] == [("", "")] * 3
    assert rows[3].cells[1] == "2 x QuantizeLinear"


def test_without_profiles_there_is_no_table() -> None:
    assert slowest({}, "types", 5).rows == ()
