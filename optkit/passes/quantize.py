"""The `quantize` pass: int8 weights, and int8 activations scaled to what calibration data shows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from optkit.core.passes import Host, Pass
from optkit.quant.profiles import PROFILES, needs_reduced_range

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from optkit.core.passes import Work


@dataclass(frozen=True)
class Quantize(Pass):
    """Quantizes to int8, placed and scaled as the target wants it."""

    version: ClassVar[int] = 1
    roles: ClassVar[Mapping[str, frozenset[str]]] = {
        "model": frozenset({"onnx"}),
        "calibration": frozenset({"dataset"}),
    }
    produces: ClassVar[str] = "onnx"
    needs: ClassVar[tuple[str, ...]] = ("onnxruntime", "onnx", "onnx_ir", "numpy")

    method: Literal["static", "dynamic"] = "static"
    """`static` scales activations to calibration data; `dynamic` at run time, for matrix products only."""
    ranges: Literal["minmax", "percentile", "mse", "kl"] = "mse"
    """How the range of an activation is chosen from its histogram."""
    percentile: float = 99.99
    """Share of the values, in percent, that `ranges: percentile` keeps."""
    per_channel: bool = True
    """One scale per output channel of a weight, else one per weight."""
    reduce_range: bool | None = None
    """Keep weights small where 8-bit products would saturate; by default if the planning machine has no VNNI."""
    equalize: bool | None = None
    """Whether layers that follow each other share out the ranges of their channels; by default where that pays."""
    smooth: bool | None = None
    """Whether linear layers take over the outliers of their activations; by default where that pays."""
    bias_correction: bool = True
    """Whether biases make up for what rounding the weights adds on average, where that brings the outputs closer."""
    mask: str | None = None
    """The input that is 0 at padding: such positions are left out of all statistics."""
    target: str | None = None
    """What the numbers are made for; the recipe's target if not given."""

    def resolve(self, target: str, host: Host) -> Self:
        """Fills in the target, and whether its numbers must keep to 7 bits on this machine."""
        name = self.target or target
        reduce = self.reduce_range
        if reduce is None and name in PROFILES:
            reduce = needs_reduced_range(PROFILES[name], host.flags)
        return replace(self, target=name, reduce_range=reduce)

    def active_roles(self) -> frozenset[str]:
        """Only static quantization reads calibration data."""
        return frozenset(self.roles) if self.method == "static" else frozenset({"model"})

    def run(self, inputs: Mapping[str, Path], work: Work) -> None:
        """Writes the int8 graph; notes the ranges, what runs in int8, and how far the outputs moved.

        Raises:
            UsageError: The graph is quantized already, the options do not fit, or the calibration data does not.
            StepFailed: Nothing would run in int8, or the outputs are not finite.
        """
        from optkit.passes.quantizing import quantize

        quantize(self, inputs, work)
