"""The `export` pass: PyTorch → ONNX, accepted only if it computes the same at every size that it must take."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self

from optkit.core.errors import UsageError
from optkit.core.passes import DEFAULT_TARGET, Pass
from optkit.quant.profiles import profile_named

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from optkit.core.passes import Host, Work


@dataclass(frozen=True)
class Export(Pass):
    """Exports a PyTorch model to ONNX and compares both at several sizes."""

    version: ClassVar[int] = 2
    roles: ClassVar[Mapping[str, frozenset[str]]] = {"model": frozenset({"torch", "program"})}
    produces: ClassVar[str] = "onnx"
    needs: ClassVar[tuple[str, ...]] = ("torch", "onnx", "onnx_ir", "onnxscript", "onnxruntime", "numpy")

    opset: int | None = None
    """ONNX operator set; by default the one that the target's profile names."""
    tolerance: float = 1e-3
    """Largest difference from PyTorch, relative to the largest value of an output."""

    def resolve(self, target: str, host: Host) -> Self:
        """Returns the pass with the operator set filled in.

        Raises:
            UsageError: The target does not read the one that is asked for.
        """
        del host
        profile = profile_named(target)
        newest = profile.newest_opset
        if self.opset is not None and newest is not None and self.opset > newest:
            raise UsageError(f"export: opset {self.opset}, but {target} reads operator sets up to {newest}")
        return self if self.opset is not None else replace(self, opset=profile.opset)

    def run(self, inputs: Mapping[str, Path], work: Work) -> None:
        """Writes `model.onnx` and an interface with the outputs' true shapes.

        Raises:
            StepFailed: The model does not run, gives NaN, or no exporter gives a right graph; says why for each.
        """
        from optkit.passes.exporting import export

        export(inputs["model"], self.opset or profile_named(DEFAULT_TARGET).opset, self.tolerance, work)
