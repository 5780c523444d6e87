"""What tests of exports share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx

from optkit.core import interface as interfaces
from optkit.measure.feeding import made_up_inputs
from optkit.passes.export import Export
from optkit.runtimes.table import RUNTIMES

if TYPE_CHECKING:
    from pathlib import Path

    from optkit.core.interface import Interface
    from optkit.core.passes import Work


def export(folder: Path, work: Work) -> Interface:
    """Returns the interface of what `folder` became."""
    Export().run({"model": folder}, work)
    return interfaces.read(work.out)


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
