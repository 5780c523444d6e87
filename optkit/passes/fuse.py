"""The `fuse` pass: replaces groups of nodes by the single operator that a runtime has a kernel for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self

from optkit.core.passes import DEFAULT_TARGET, Host, Pass

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from optkit.core.passes import Work


@dataclass(frozen=True)
class Fuse(Pass):
    """Fuses patterns into larger operators: attention, normalizations, GELU, rotary embeddings, convolutions."""

    version: ClassVar[int] = 2
    roles: ClassVar[Mapping[str, frozenset[str]]] = {"model": frozenset({"onnx"})}
    produces: ClassVar[str] = "onnx"
    needs: ClassVar[tuple[str, ...]] = ("onnxscript", "onnx", "onnx_ir", "onnxruntime", "numpy")

    target: str | None = None
    """What to fuse for; the recipe's target if not given."""
    attention: bool = True
    """Whether attention becomes ONNX Runtime's fused operator, where that is the target; projections stay apart."""
    merge: bool = False
    """Whether matrix products of one tensor, such as Q, K and V, become one and a Split; measure whether that pays."""
    timed: bool | None = None
    """Whether fusions that slow the graph on this machine are taken back; by default where the target is a CPU's ONNX
    Runtime. The decision is cached for this machine class."""
    tolerance: float = 1e-3
    """Largest change, relative to the largest value of an output, that is rounding."""

    def resolve(self, target: str, host: Host) -> Self:
        """Fills in the target, and whether it is timed."""
        del host
        name = self.target or target
        return replace(self, target=name, timed=name == DEFAULT_TARGET if self.timed is None else self.timed)

    def is_device_bound(self) -> bool:
        """What is decided by timing holds for this machine class."""
        return bool(self.timed)

    def run(self, inputs: Mapping[str, Path], work: Work) -> None:
        """Writes the fused graph, or the same one if it would have more nodes, compute something else or be slower."""
        from optkit.passes.fusing import fuse

        fuse(self, inputs["model"], work)
