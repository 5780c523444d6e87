"""What tests of exports share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from optkit.core import interface as interfaces
from optkit.core.passes import Work
from optkit.measure.feeding import made_up_inputs
from optkit.passes import exporting
from optkit.runtimes.table import RUNTIMES

if TYPE_CHECKING:
    from pathlib import Path

    from optkit.core.interface import Interface
    from optkit.passes.export_attempt import Attempt


def export(folder: Path, work: Work, opset: int = 20) -> Interface:
    """Returns the interface of what `folder` became; all attempts run in this process, which has loaded torch."""
    exporting.export(folder, opset, 1e-3, work, in_process)
    return interfaces.read(work.out)


def in_process(attempt: Attempt, folder: Path, place: Path, work: Work) -> dict[str, Any]:
    (place / "out").mkdir()
    own = Work(place / "out", work.scratch, on_progress=work.on_progress)
    attempt.run({"model": folder}, own)
    return own.notes


def operators(folder: Path) -> list[str]:
    return [node.op_type for node in onnx.load(folder / "model.onnx").graph.node]


def assert_same(folder: Path, out: Path, sizes: dict[str, int], tolerance: float) -> None:
    """Compares PyTorch with ONNX Runtime on other inputs than the pass does."""
    interface = interfaces.read(out)
    inputs = made_up_inputs(interface, sizes, seed=5)
    expected = RUNTIMES["torch"].open(folder, 1).run(inputs)
    actual = RUNTIMES["onnxruntime"].open(out, 1).run(inputs)
    assert list(actual) == [tensor.name for tensor in interface.outputs]
    for name, array in expected.items():
        np.testing.assert_allclose(actual[name], array, atol=tolerance)
