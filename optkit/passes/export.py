"""The `export` pass: PyTorch → ONNX, accepted only if it computes the same at every size that it must take."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self

from optkit.core.passes import Pass

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from optkit.core.passes import Host, Work

OPSET = 20
"""The exporter's own default. From 23 on attention is one operator, which no fusion recognises."""


@dataclass(frozen=True)
class Export(Pass):
    """Exports a PyTorch model to ONNX and compares both at several sizes."""

    version: ClassVar[int] = 2
    roles: ClassVar[Mapping[str, frozenset[str]]] = {"model": frozenset({"torch", "program"})}
    produces: ClassVar[str] = "onnx"
    needs: ClassVar[tuple[str, ...]] = ("torch", "onnx", "onnx_ir", "onnxscript", "onnxruntime", "numpy")

    opset: int | None = None
    """ONNX operator set; 20 by default, which every target reads."""
    tolerance: float = 1e-3
    """Largest difference from PyTorch, relative to the largest value of an output."""

    def resolve(self, target: str, host: Host) -> Self:
        """Returns the pass with the operator set filled in: the same for all targets that there are."""
        del target, host
        return self if self.opset is not None else replace(self, opset=OPSET)

    def run(self, inputs: Mapping[str, Path], work: Work) -> None:
        """Writes `model.onnx` and an interface with the outputs' true shapes.

        Raises:
            StepFailed: The model does not run, gives NaN, or no exporter gives a right graph; says why for each.
        """
        from optkit.passes.exporting import export

        export(inputs["model"], self.opset or OPSET, self.tolerance, work)
