from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from optkit.core import interface
from optkit.core.errors import UsageError
from optkit.core.interface import Dim, Interface, Tensor
from optkit.measure.latency import feeds_of
from optkit.measure.latency_report import Subject
from optkit.measure.sweep import Setting, SweepReport, sweep
from optkit.measure.worker_process import cpus_for

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from optkit.measure.latency_report import Progress
    from tests.measure.conftest import MakeMlp


def _finish(measurement: Generator[Progress, None, SweepReport]) -> SweepReport:
    while True:
        try:
            next(measurement)
        except StopIteration as stop:
            report: SweepReport = stop.value
            return report


def _sweep(folder: Path, batches: tuple[int, ...], instances: tuple[int, ...], budget: float) -> SweepReport:
    feeds = feeds_of(interface.read(folder), batches)
    return _finish(sweep(Subject("m", "onnxruntime", folder, 1), feeds, (1,), instances, budget))


def test_every_combination_is_a_point_unless_the_machine_is_too_slow(mlp: MakeMlp) -> None:
    report = _sweep(mlp("m", width=4000), (1, 8), (1, 2), 4)
    every = [Setting(batch, 1, instances) for instances in (1, 2) for batch in (1, 8)]
    assert [*(point.setting for point in report.points), *report.skipped] == every
    assert set(report.skipped.values()) <= {"the time was up"}
    assert any(report.pareto)
    for point in report.points:
        assert point.runs >= 6 * point.setting.instances
        # A run that takes p50 on each instance: no more than that many samples can come out, twice for good measure.
        most = point.setting.instances * point.setting.batch * 1e3 / point.percentiles["p50"]
        assert 0 < point.throughput < 2 * most


def test_what_the_time_is_not_enough_for_is_skipped(mlp: MakeMlp) -> None:
    report = _sweep(mlp("m"), (1,), (1, 2, 3, 4), 1.0)
    assert report.points[0].setting == Setting(1, 1, 1)
    assert set(report.skipped.values()) == {"the time was up"}
    assert len(report.points) + len(report.skipped) == 4


def test_no_time_at_all_is_an_error(mlp: MakeMlp) -> None:
    with pytest.raises(UsageError, match="no setting could be measured in time\ngive more --seconds"):
        _sweep(mlp("m"), (1,), (1,), 0)


def test_a_model_that_cannot_be_opened_is_an_error(mlp: MakeMlp) -> None:
    folder = mlp("m")
    (folder / "model.onnx").write_bytes(b"junk")
    with pytest.raises(UsageError, match=r"timing 'm': model\.onnx is damaged"):
        _sweep(folder, (1,), (1,), 5)


def test_batches_are_those_that_the_model_takes(mlp: MakeMlp) -> None:
    model = interface.read(mlp("m", batch=Dim(2, 4, 8)))
    assert [feed.batch for feed in feeds_of(model)] == [2, 4, 8]
    assert [feed.inputs["x"].shape for feed in feeds_of(model, (8, 3))] == [(3, 8), (8, 8)]
    with pytest.raises(UsageError, match="a batch of 1: the model takes 2 to 8 samples"):
        feeds_of(model, (1, 2))
    single = Interface((Tensor("x", "float32", (1, 3)),), ())
    assert [feed.batch for feed in feeds_of(single)] == [1]
    with pytest.raises(UsageError, match="a batch of 2: the model takes a batch of 1"):
        feeds_of(single, (2,))


def test_instances_have_cpus_of_their_own_while_there_are_enough() -> None:
    first, second = cpus_for(1, 0), cpus_for(1, 1)
    assert len(first) == 1
    assert not set(first) & set(second)
    assert cpus_for(1, 10**6) == []
