"""The `quantize-inc` pass: int8 by Intel Neural Compressor, as an alternative to `quantize`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from optkit.core.linking import ORIGINAL
from optkit.core.passes import Host, Pass

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from optkit.core.passes import Work


@dataclass(frozen=True)
class QuantizeInc(Pass):
    """Quantizes the recipe's PyTorch model to int8 with Intel Neural Compressor, and exports it."""

    version: ClassVar[int] = 1
    roles: ClassVar[Mapping[str, frozenset[str]]] = {
        "model": frozenset({"onnx"}),
        ORIGINAL: frozenset({"torch"}),
        "calibration": frozenset({"dataset"}),
    }
    produces: ClassVar[str] = "onnx"
    needs: ClassVar[tuple[str, ...]] = (
        "neural-compressor", "torchao", "torch", "onnx", "onnx_ir", "onnxscript", "onnxruntime", "numpy",
    )  # fmt: skip

    ranges: Literal["minmax", "kl"] = "minmax"
    """How the range of an activation is chosen."""
    per_channel: bool = True
    """One scale per output channel of a weight, else one per weight."""
    keep: tuple[str, ...] = ()
    """Modules that stay float, by their names in the PyTorch model, such as `classifier`."""
    target: str | None = None
    """What the numbers are made for; the recipe's target if not given."""

    def resolve(self, target: str, host: Host) -> Self:
        """Fills in the target."""
        del host
        return replace(self, target=self.target or target)

    def run(self, inputs: Mapping[str, Path], work: Work) -> None:
        """Writes the int8 graph; notes what runs in int8, and how far the outputs moved from the step before.

        Raises:
            UsageError: The target wants other numbers, a module to keep does not exist, or the calibration data does
                not fit.
            MissingDependency: Neural Compressor is not installed.
            StepFailed: The model cannot be captured, or nothing would run in int8.
        """
        from optkit.passes.quantizing_inc import quantize

        quantize(self, inputs, work)
