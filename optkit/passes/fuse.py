"""The `fuse` pass: replaces groups of nodes by the single operator that a runtime has a kernel for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Self

from optkit.core.passes import Host, Pass

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from optkit.core.passes import Work


@dataclass(frozen=True)
class Fuse(Pass):
    """Fuses patterns into larger operators with onnxscript's rewriter."""

    version: ClassVar[int] = 1
    roles: ClassVar[Mapping[str, frozenset[str]]] = {"model": frozenset({"onnx"})}
    produces: ClassVar[str] = "onnx"
    needs: ClassVar[tuple[str, ...]] = ("onnxscript", "onnx", "onnx_ir", "onnxruntime", "numpy")

    target: str | None = None
    """What to fuse for; the recipe's target if not given. Only ONNX Runtime has the fused operators."""
    attention: bool = True
    """Whether attention and its neighbours become ONNX Runtime's fused operators; projections stay apart, for int8."""
    tolerance: float = 1e-3
    """Largest change, relative to the largest value of an output, that is rounding."""

    def resolve(self, target: str, host: Host) -> Self:
        """Fills in the target."""
        del host
        return replace(self, target=self.target or target)

    def run(self, inputs: Mapping[str, Path], work: Work) -> None:
        """Writes the fused graph, or the same one if it would have more nodes or compute something else."""
        from optkit.graph.fusions import fused
        from optkit.passes.rewriting import rewrite_checked

        work.progress(0.1, "fusing")
        for_ort = self.attention and (self.target or "").startswith("onnxruntime")
        rewrite_checked(inputs["model"], work, "fuse", partial(fused, for_ort=for_ort), self.tolerance)
