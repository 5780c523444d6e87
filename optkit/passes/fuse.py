"""The `fuse` pass: replaces groups of nodes by the single operator that a runtime has a kernel for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Self

from optkit.core.passes import Host, Pass
from optkit.graph.shapes import name_nodes, refresh_shapes
from optkit.passes.onnx_step import operator_count
from optkit.passes.rewriting import rewrite_checked

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import onnx_ir as ir

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
        work.progress(0.1, "fusing")
        for_ort = self.attention and (self.target or "").startswith("onnxruntime")
        rewrite_checked(inputs["model"], work, "fuse", partial(fused, for_ort=for_ort), self.tolerance)


def fused(model: ir.Model, *, for_ort: bool) -> ir.Model:
    """Returns the graph with onnxscript's general rules applied, and ONNX Runtime's fusions if `for_ort`."""
    from onnxscript.rewriter import rewrite

    model = rewrite(model)
    if for_ort:
        model = _for_ort(model)
    name_nodes(model)
    refresh_shapes(model)
    return model


def _for_ort(model: ir.Model) -> ir.Model:
    """Returns the graph with the transformer fusions of ONNX Runtime, if they leave fewer nodes."""
    from importlib import import_module

    from onnxscript import optimizer
    from onnxscript.rewriter import rewrite
    from onnxscript.rewriter.ort_fusions import fused_matmul_rule_sets

    candidate = model.clone()
    refresh_shapes(candidate)
    optimizer.optimize_ir(candidate)
    for module, name in _FUSIONS:
        getattr(import_module(f"onnxscript.rewriter.ort_fusions.{module}"), name)(candidate)
    optimizer.optimize_ir(candidate)
    candidate = rewrite(candidate, fused_matmul_rule_sets.fused_matmul_rule_sets())
    return candidate if operator_count(candidate) < operator_count(model) else model


# In the order of onnxscript's own `optimize_for_ort`, without its last step: `Attention` swallows the projections, and
# no quantizer reaches into it, so that int8 would end up slower than the unfused graph.
_FUSIONS = (
    ("erfgelu", "fuse_erfgelu"),
    ("rms_normalization", "fuse_rms_normalization"),
    ("skip_normalization", "fuse_skip_layer_normalization"),
    ("skip_normalization", "fuse_skip_rms_normalization"),
    ("rotary_embedding", "fuse_rotary_embedding"),
    ("cos_sin_cache", "fuse_cos_sin_cache"),
    ("rotary_embedding", "fuse_partial_rotary_embedding"),
    ("sdpa", "fuse_sdpa"),
    ("gqa", "fuse_gqa"),
    ("gqa_packed_qkv", "fuse_qkv_gqa"),
    ("mha", "fuse_mha1"),
    ("mha", "fuse_mha2"),
    ("mha_scale", "fuse_mha_scale"),
    ("mha_bias", "fuse_mha_bias"),
    ("gelu", "fuse_gelu"),
    ("bias_gelu", "fuse_bias_gelu"),
    ("sdpa_via_mha", "replace_sdpa_by_mha"),
)
