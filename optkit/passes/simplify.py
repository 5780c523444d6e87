"""The `simplify` pass: folds constants and removes what does nothing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from optkit.core.passes import Pass

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from optkit.core.passes import Work


@dataclass(frozen=True)
class Simplify(Pass):
    """Folds constants, removes dead and redundant nodes, fuses normalisation into convolutions."""

    version: ClassVar[int] = 1
    roles: ClassVar[Mapping[str, frozenset[str]]] = {"model": frozenset({"onnx"})}
    produces: ClassVar[str] = "onnx"
    needs: ClassVar[tuple[str, ...]] = ("onnxsim", "onnx", "onnx_ir", "onnxscript", "onnxruntime", "numpy")

    fold_limit_bytes: int = 1 << 20
    """Constants larger than this are computed at run time rather than stored."""
    tolerance: float = 1e-3
    """Largest change, relative to the largest value of an output, that is rounding."""

    def run(self, inputs: Mapping[str, Path], work: Work) -> None:
        """Writes the simpler graph, or the same one if it would have more nodes or compute something else."""
        from optkit.graph.simplification import simplified
        from optkit.passes.rewriting import rewrite_checked

        work.progress(0.1, "simplifying")
        rewrite_checked(
            inputs["model"], work, "simplify", partial(simplified, limit=self.fold_limit_bytes), self.tolerance
        )
