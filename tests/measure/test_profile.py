from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from optkit.core import interface
from optkit.core.results import Profile
from optkit.measure.latency import made_up_feeds, measure_latency
from optkit.measure.latency_report import Subject
from optkit.measure.profile import LONGEST, from_json, record, summary
from optkit.runtimes.profiling import Call, Operator

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.measure.conftest import MakeMlp

CONV = Operator("conv", "QLinearConv", "int8")
HEAD = Operator("head", "QLinearConv", "int8")
INTO = Operator("x_quantized", "QuantizeLinear", "conversion")
NORM = Operator("norm", "LayerNormalization", "other")


def test_an_operator_counts_with_the_median_of_its_runs() -> None:
    runs = [[Call(CONV, ms), Call(INTO, 1.0)] for ms in (3.0, 900.0, 5.0)]
    found = summary(runs)
    assert (found.runs, found.count, found.ms) == (3, 2, 6.0)
    assert [(each.name, each.ms) for each in found.operators] == [("conv", 5.0), ("x_quantized", 1.0)]
    assert found.int8_share == pytest.approx(5 / 6, rel=1e-12)
    assert found.conversion_share == pytest.approx(1 / 6, rel=1e-12)


def test_calls_within_a_run_are_added_up() -> None:
    found = summary([[Call(CONV, 1.0), Call(CONV, 2.0)], [Call(CONV, 1.0), Call(CONV, 2.0)]])
    assert [(each.calls, each.ms, each.share) for each in found.operators] == [(2, 3.0, 1.0)]


def test_types_are_those_of_all_operators_with_equal_arithmetic() -> None:
    bytes_moved = Operator("a", "Transpose", "int8")
    floats_moved = Operator("b", "Transpose", "other")
    run = [Call(CONV, 4.0), Call(HEAD, 2.0), Call(NORM, 1.0), Call(bytes_moved, 0.5), Call(floats_moved, 0.25)]
    types = summary([run]).types
    assert [(each.name, each.operator, each.arithmetic, each.calls, each.ms) for each in types] == [
        ("", "QLinearConv", "int8", 2, 6.0),
        ("", "LayerNormalization", "other", 1, 1.0),
        ("", "Transpose", "int8", 1, 0.5),
        ("", "Transpose", "other", 1, 0.25),
    ]
    assert sum(each.share for each in types) == pytest.approx(1.0, rel=1e-12)


def test_a_large_model_is_cut_to_its_slowest() -> None:
    run = [Call(Operator(f"n{index}", f"Op{index}", "other"), float(index)) for index in range(50)]
    found = summary([run])
    assert found.count == 50
    assert [each.name for each in found.operators] == [f"n{index}" for index in range(49, 49 - LONGEST, -1)]
    assert len(found.types) == LONGEST
    assert found.operators[0].share == pytest.approx(49 / sum(range(50)), rel=1e-12)


def test_what_takes_no_measurable_time_has_no_share() -> None:
    found = summary([[Call(CONV, 0.0)]])
    assert (found.ms, found.int8_share, found.operators[0].share) == (0.0, 0.0, 0.0)


def test_a_profile_survives_json() -> None:
    found = summary([[Call(CONV, 1.0), Call(NORM, 3.0)]])
    assert from_json(asdict(found)) == found


@dataclass
class Counting:
    """A session whose runs are told apart by their number."""

    runs: list[list[Call]] = field(default_factory=list)

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        self.runs.append([Call(CONV, float(len(self.runs)))])
        return dict(inputs)

    def finish(self) -> list[list[Call]]:
        return self.runs


def test_the_first_runs_are_not_counted() -> None:
    kept = record(Counting(), {})
    assert [run[0].ms for run in kept] == [float(number) for number in range(3, 33)]


def test_profiles_come_with_the_timing_and_a_failed_one_says_why(mlp: MakeMlp) -> None:
    folder = mlp("m", width=4096)
    torch_less = Subject("gone", "onnxruntime", mlp("gone"), 1)
    feeds = made_up_feeds(interface.read(folder))
    measurement = measure_latency(
        Subject("m", "onnxruntime", folder, 1), [torch_less], feeds, 0, precision=1, profile=True
    )
    while True:
        try:
            progress = next(measurement)
        except StopIteration as stop:
            report = stop.value
            break
        if progress.text == "profiling m":
            (torch_less.folder / "model.onnx").unlink()
    found = report.profiles["m"]
    assert isinstance(found, Profile)
    assert {each.operator for each in found.operators} >= {"MatMul"}
    assert found.ms > 0
    assert found.int8_share == 0.0
    assert report.profiles["gone"] == "timing 'gone': model.onnx is missing"
    assert set(report.feeds[-1].speedups) == {"gone"}
