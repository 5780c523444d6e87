"""The `simplify` pass: folds constants and removes what does nothing."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from optkit.core.passes import Pass
from optkit.graph.save import INLINE_LIMIT, to_proto, weight_bytes
from optkit.graph.shapes import refresh_shapes
from optkit.passes.onnx_step import operator_count
from optkit.passes.rewriting import rewrite_checked

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import onnx_ir as ir

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
        work.progress(0.1, "simplifying")
        rewrite_checked(
            inputs["model"], work, "simplify", partial(simplified, limit=self.fold_limit_bytes), self.tolerance
        )


def simplified(model: ir.Model, limit: int) -> ir.Model:
    """Returns the simplified graph.

    It comes from onnxsim, or, where that adds nodes or the model is too large for one protobuf, from onnxscript.

    Args:
        model: The graph; it may be changed.
        limit: Largest constant to fold, in bytes.
    """
    if weight_bytes(model) > INLINE_LIMIT:
        return _optimized(model, limit)
    import onnx_ir as ir
    import onnxsim

    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        proto, _ = onnxsim.simplify(to_proto(model), tensor_size_threshold=f"{limit}B")
    result = ir.serde.deserialize_model(proto)
    if operator_count(result) > operator_count(model):
        return _optimized(model, limit)
    refresh_shapes(result)
    return result


def _optimized(model: ir.Model, limit: int) -> ir.Model:
    from onnxscript import optimizer

    optimizer.optimize_ir(model, input_size_limit=limit, output_size_limit=limit)
    refresh_shapes(model)
    return model
