"""Fusions by onnxscript's rewriter: groups of nodes become the operator that a runtime has a kernel for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optkit.graph.residual_sums import part_residual_sums
from optkit.graph.shapes import name_nodes, refresh_shapes
from optkit.graph.walk import operator_count

if TYPE_CHECKING:
    import onnx_ir as ir


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
    part_residual_sums(candidate)
    return candidate if operator_count(candidate) < operator_count(model) else model


# In the order of onnxscript's own `optimize_for_ort`, without its last step: `Attention` swallows the projections, and
# no quantizer reaches into it, so that int8 would end up slower than the unfused graph. SkipLayerNormalization is left
# out, too: on CPUs it takes several times as long as the sum and the normalisation.
_FUSIONS = (
    ("erfgelu", "fuse_erfgelu"),
    ("rms_normalization", "fuse_rms_normalization"),
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
