"""All fusions in their order."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from optkit.core.errors import StepFailed
from optkit.graph.canonical import fold_into_convolutions
from optkit.graph.fuse.build import Builder, take_over
from optkit.graph.fuse.gelu import Gelu, find_gelus
from optkit.graph.fuse.match import NearMiss
from optkit.graph.fuse.multi_head import fuse_attention
from optkit.graph.fuse.norms import LAYER, RMS, Norm, find_norms
from optkit.graph.residual_sums import part_residual_sums
from optkit.graph.shapes import name_nodes, refresh_shapes
from optkit.graph.upgrade import upgrade

if TYPE_CHECKING:
    import onnx_ir as ir

_SINCE = {LAYER: 17, "Gelu": 20, RMS: 23}
"""Operator → the operator set that it came with."""


@dataclass(frozen=True, slots=True)
class Fusions:
    """What was fused, and what nearly was.

    Attributes:
        counts: Pattern → how often.
        near_misses: What only looks like a pattern.
    """

    counts: dict[str, int]
    near_misses: tuple[NearMiss, ...]


def fuse_general(model: ir.Model) -> tuple[ir.Model, Fusions]:
    """Returns the graph with what suits every target: onnxscript's general rules, and what convolutions can absorb."""
    from onnxscript.rewriter import rewrite

    before = _absorbed(model)
    model = rewrite(model)
    fold_into_convolutions(model)
    counts = before - _absorbed(model)
    _tidy(model)
    return model, Fusions({f"{name} into convolution": count for name, count in counts.items()}, ())


def fuse_blocks(model: ir.Model, newest: int) -> Fusions:
    """Fuses normalizations and GELUs into standard operators, in place.

    Args:
        model: The graph.
        newest: Operator set to which it may be brought for that.
    """
    _tidy(model)
    wanted = max((_SINCE[_kind(each)] for each in _blocks(model)[0]), default=0)
    if model.opset_imports.get("", 0) < wanted <= newest:
        try:
            upgrade(model, wanted)
        except StepFailed as error:
            return Fusions({}, tuple(_refused(each, error.message) for each in _blocks(model)[0]))
        _tidy(model)
    found, missed = _blocks(model)
    opset = model.opset_imports.get("", 0)
    build, counts = Builder(model.graph), Counter[str]()
    for each in found:
        if opset < _SINCE[_kind(each)]:
            missed.append(_refused(each, f"it is an operator from operator set {_SINCE[_kind(each)]} on"))
            continue
        take_over(each.end, each.write(build))
        counts[_kind(each)] += 1
    _sort(model)
    return Fusions(dict(counts), tuple(missed))


def fuse_for_ort(model: ir.Model) -> Fusions:
    """Fuses attention into ONNX Runtime's operator, in place, and keeps ONNX Runtime from a fusion that is slower."""
    _tidy(model)
    written, missed = fuse_attention(model)
    name_nodes(model)
    part_residual_sums(model)
    return Fusions({"MultiHeadAttention": written} if written else {}, tuple(missed))


def _blocks(model: ir.Model) -> tuple[list[Norm | Gelu], list[NearMiss]]:
    (norms, bad_norms), (gelus, bad_gelus) = find_norms(model), find_gelus(model)
    return [*norms, *gelus], [*bad_norms, *bad_gelus]


def _kind(block: Norm | Gelu) -> str:
    return block.kind if isinstance(block, Norm) else "Gelu"


def _refused(block: Norm | Gelu, why: str) -> NearMiss:
    node = block.root if isinstance(block, Norm) else block.curve
    return NearMiss(_kind(block), node.name or "", node.metadata_props.get("optkit.source", ""), why)


def _absorbed(model: ir.Model) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.all_nodes() if node.op_type in {"BatchNormalization", "Pad"})


def _tidy(model: ir.Model) -> None:
    name_nodes(model)
    refresh_shapes(model)


def _sort(model: ir.Model) -> None:
    import onnx_ir.passes.common as passes

    model.graph.sort()
    passes.RemoveUnusedNodesPass()(model)
    name_nodes(model)
