"""The `quantize` pass: int8 weights, and int8 activations scaled to what calibration data shows."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from optkit.core.passes import Host, Pass
from optkit.core.schema import STRICT
from optkit.quant.profiles import PROFILES, needs_reduced_range

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from optkit.core.passes import Work


Ranges = Literal["minmax", "percentile", "mse", "kl", "auto"]


@dataclass(frozen=True)
class Budget:
    """How much of a metric the int8 graph may lose."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    max_drop: float
    """Largest loss against the float graph, in the metric's unit (a fraction for accuracy)."""
    metric: dict[str, Any] | None = None
    """Its definition, such as `{kind: accuracy, output: logits}`; the recipe's metric of that name if not given."""

    def __post_init__(self) -> None:
        if not 0 <= self.max_drop < math.inf:
            raise ValueError(f"max_drop should be a number of at least 0, not {self.max_drop:g}")


@dataclass(frozen=True)
class Quantize(Pass):
    """Quantizes to int8, placed and scaled as the target wants it."""

    version: ClassVar[int] = 1
    roles: ClassVar[Mapping[str, frozenset[str]]] = {
        "model": frozenset({"onnx"}),
        "calibration": frozenset({"dataset"}),
        "search": frozenset({"dataset"}),
    }
    optional_roles: ClassVar[frozenset[str]] = frozenset({"search"})
    produces: ClassVar[str] = "onnx"
    needs: ClassVar[tuple[str, ...]] = ("onnxruntime", "onnx", "onnx_ir", "numpy")

    method: Literal["static", "dynamic", "auto"] = "static"
    """`static` scales activations to calibration data; `dynamic` at run time, matrix products only; `auto` measures."""
    ranges: Ranges | None = None
    """minmax, percentile, mse (the default), kl, or for each tensor the best of them: auto (default with a budget)."""
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
    merge: bool = False
    """Whether matrix products of one tensor, such as Q, K and V, become one and a Split; measure whether that pays."""
    bias_correction: bool = True
    """Whether biases make up for what rounding the weights adds on average, where that brings the outputs closer."""
    mask: str | None = None
    """The input that is 0 at padding: such positions are left out of all statistics."""
    ops: tuple[Literal["Conv", "ConvTranspose", "Gather", "Gemm", "LSTM", "MatMul"], ...] | None = None
    """Operators with weights that run in int8, such as [MatMul] (Gemm counts as MatMul); by default all that can."""
    keep: tuple[str, ...] = ()
    """Patterns of node names, such as `*/head/*`, that stay float."""
    budget: dict[str, Budget] = field(default_factory=dict)
    """Metric → how much of it may be lost: layers stay float until the loss on `data.search` is within it."""
    seconds: float = 120.0
    """For `method: auto`: how long it may try methods and time them."""
    target: str | None = None
    """What the numbers are made for; the recipe's target if not given."""

    def __post_init__(self) -> None:
        if not 0 < self.seconds < math.inf:
            raise ValueError(f"seconds should be a number above 0, not {self.seconds:g}")

    def resolve(self, target: str, host: Host) -> Self:
        """Fills in the target, how ranges are chosen, and whether numbers must keep to 7 bits on this machine."""
        name = self.target or target
        reduce = self.reduce_range
        if reduce is None and name in PROFILES:
            reduce = needs_reduced_range(PROFILES[name], host.flags)
        ranges = self.ranges or ("auto" if self.budget else "mse")
        return replace(self, target=name, reduce_range=reduce, ranges=ranges)

    def active_roles(self) -> frozenset[str]:
        """Only static quantization reads calibration data, and only what chooses by outputs reads data to search on."""
        if self.budget or self.method == "auto":
            return frozenset(self.roles)
        return frozenset({"model", "calibration"}) if self.method == "static" else frozenset({"model"})

    def is_device_bound(self) -> bool:
        """A method that was chosen by timing it is right for this machine class only."""
        return self.method == "auto"

    def budgets(self) -> Mapping[str, float]:
        """Returns metric → the largest drop."""
        return {name: each.max_drop for name, each in self.budget.items()}

    def with_metrics(self, metrics: Mapping[str, Mapping[str, Any]]) -> Self:
        """Fills in what the budgets' metrics are."""
        filled = {
            name: replace(each, metric=dict(metrics[name])) if each.metric is None and name in metrics else each
            for name, each in self.budget.items()
        }
        return replace(self, budget=filled)

    def run(self, inputs: Mapping[str, Path], work: Work) -> None:
        """Writes the int8 graph; notes the ranges, what runs in int8, and how far the outputs moved.

        Raises:
            UsageError: The graph is quantized already, the options do not fit, or the calibration data does not.
            BudgetMissed: No int8 graph that was found is within the budget, or good enough for `method: auto`.
            StepFailed: Nothing would run in int8, or the outputs are not finite.
        """
        from optkit.passes.quantizing import quantize

        quantize(self, inputs, work)
