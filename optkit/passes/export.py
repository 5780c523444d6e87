"""The `export` pass: PyTorch → ONNX, accepted only if it computes the same at every size that it must take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from optkit.core.passes import Pass

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from optkit.core.passes import Work


@dataclass(frozen=True)
class Export(Pass):
    """Exports a PyTorch model to ONNX and compares both at several sizes."""

    version: ClassVar[int] = 1
    roles: ClassVar[Mapping[str, frozenset[str]]] = {"model": frozenset({"torch", "program"})}
    produces: ClassVar[str] = "onnx"
    needs: ClassVar[tuple[str, ...]] = ("torch", "onnx", "onnx_ir", "onnxscript", "onnxruntime", "numpy")

    opset: int | None = None
    """ONNX operator set; the exporter's default if not given."""
    tolerance: float = 1e-3
    """Largest difference from PyTorch, relative to the largest value of an output."""

    def run(self, inputs: Mapping[str, Path], work: Work) -> None:
        """Writes `model.onnx` and an interface with the outputs' true shapes.

        Raises:
            StepFailed: The model does not run, gives NaN, or no exporter gives a right graph; says why for each.
        """
        from optkit.passes.exporting import export

        export(inputs["model"], self.opset, self.tolerance, work)
