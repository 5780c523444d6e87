"""A sweep within a run: settings become points, and a model that fails is said, not raised."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx
from onnx import parser

from optkit.core import interface
from optkit.core.events import Event, Note
from optkit.core.interface import Dim, Interface, Tensor
from optkit.core.recipe import SweepSpec
from optkit.measure.latency_report import Subject
from optkit.workflow.sweeping import sweep_all

if TYPE_CHECKING:
    from pathlib import Path

    from optkit.core.results import SweepPoint

SHAPE = Interface(
    (Tensor("x", "float32", ("batch", 2)),), (Tensor("y", "float32", ("batch", 2)),), {"batch": Dim(1, 2, 4)}
)
MODEL = '<ir_version: 10, opset_import: ["" : 20]> g (float[batch, 2] x) => (float[batch, 2] y) { y = Relu(x) }'


def swept(folder: Path, spec: SweepSpec | None) -> tuple[dict[str, tuple[SweepPoint, ...]], list[Event]]:
    subjects = [Subject(name, "onnxruntime", folder / name, 2) for name in ("here", "gone")]
    (folder / "here").mkdir()
    onnx.save(parser.parse_model(MODEL), folder / "here" / "model.onnx")
    interface.write(folder / "here", SHAPE)
    steps, events = sweep_all(subjects, SHAPE, spec), []
    while True:
        try:
            events.append(next(steps))
        except StopIteration as stop:
            return stop.value, events


def test_what_can_be_swept_is_and_what_cannot_is_said(tmp_path: Path) -> None:
    found, events = swept(tmp_path, SweepSpec(batches=(4,), threads=(1,), instances=(1,), seconds=1))
    assert list(found) == ["here"]
    assert [(point.batch, point.threads, point.instances) for point in found["here"]] == [(4, 1, 1)]
    assert all(point.throughput > 0 < point.p50_ms for point in found["here"])
    assert any(isinstance(event, Note) and event.text.startswith("gone has no sweep: ") for event in events)


def test_no_sweep_is_made_unasked(tmp_path: Path) -> None:
    assert swept(tmp_path, None) == ({}, [])
