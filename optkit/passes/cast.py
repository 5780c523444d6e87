"""The `cast` pass: half precision where it is safe."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from optkit.core.passes import Host, Pass

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from optkit.core.passes import Work

FLOAT_OPERATORS = (
    "CumSum", "Exp", "GroupNormalization", "InstanceNormalization", "LayerNormalization", "Log", "LogSoftmax",
    "LpNormalization", "MeanVarianceNormalization", "Pow", "RMSNormalization", "Reciprocal", "ReduceL1", "ReduceL2",
    "ReduceLogSum", "ReduceLogSumExp", "ReduceMean", "ReduceProd", "ReduceSum", "ReduceSumSquare",
    "SimplifiedLayerNormalization", "SkipLayerNormalization", "SkipSimplifiedLayerNormalization", "Softmax",
    "Softplus", "Sqrt",
)  # fmt: skip
TOLERANCES = {"float16": 0.01, "bfloat16": 0.08}


@dataclass(frozen=True)
class Cast(Pass):
    """Casts weights and arithmetic to half precision; what would overflow or lose its sums stays float32."""

    version: ClassVar[int] = 1
    roles: ClassVar[Mapping[str, frozenset[str]]] = {
        "model": frozenset({"onnx"}),
        "calibration": frozenset({"dataset"}),
    }
    optional_roles: ClassVar[frozenset[str]] = frozenset({"calibration"})
    produces: ClassVar[str] = "onnx"
    needs: ClassVar[tuple[str, ...]] = ("onnxruntime", "onnx", "onnx_ir", "numpy")

    to: Literal["float16", "bfloat16"] = "float16"
    """The half precision."""
    keep_io: bool = True
    """Whether the model's inputs and outputs stay float32."""
    keep: tuple[str, ...] = ()
    """Patterns of names of nodes, such as `*/head/*`, that stay float32."""
    float_operators: tuple[str, ...] = FLOAT_OPERATORS
    """Operators that stay float32: long sums and exponentials."""
    tolerance: float | None = None
    """Largest difference from float32, relative to the largest value of an output; 0.01, or 0.08 for bfloat16."""
    target: str | None = None
    """What the graph is made for; the recipe's target if not given."""

    def resolve(self, target: str, host: Host) -> Self:
        """Fills in the target and the tolerance."""
        del host
        tolerance = TOLERANCES[self.to] if self.tolerance is None else self.tolerance
        return replace(self, target=self.target or target, tolerance=tolerance)

    def run(self, inputs: Mapping[str, Path], work: Work) -> None:
        """Writes the graph; notes what stays float32 and why, and how far the outputs moved.

        Raises:
            UsageError: The target cannot run it.
            StepFailed: Nothing could be cast, or an output is further off than the tolerance; says which.
        """
        from optkit.passes.casting import cast

        cast(self, inputs, work)
