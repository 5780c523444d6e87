"""All fusions in their order."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Protocol

from optkit.core.errors import StepFailed
from optkit.graph.canonical import fold_into_convolutions
from optkit.graph.fuse.build import Builder, take_over
from optkit.graph.fuse.gelu import Gelu, find_gelus
from optkit.graph.fuse.match import NearMiss
from optkit.graph.fuse.multi_head import fuse_attention
from optkit.graph.fuse.norms import LAYER, RMS, find_norms
from optkit.graph.fuse.products import PATTERN as PRODUCTS
from optkit.graph.fuse.products import merge_products
from optkit.graph.fuse.rotary import ROTARY, find_rotaries
from optkit.graph.residual_sums import part_residual_sums
from optkit.graph.shapes import name_nodes, refresh_shapes
from optkit.graph.simplify.common import merge_common
from optkit.graph.upgrade import upgrade

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import onnx_ir as ir

_SINCE = {LAYER: 17, Gelu.kind: 20, RMS: 23, ROTARY: 23}
"""Operator → the operator set that it came with."""


class Block(Protocol):
    """Nodes that one standard operator can stand for."""

    @property
    def kind(self) -> str:
        """The operator."""

    @property
    def anchor(self) -> ir.Node:
        """The node that it was found at."""

    @property
    def end(self) -> ir.Value:
        """Its result."""

    def write(self, build: Builder) -> ir.Value:
        """Returns the result, computed by the operator."""


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
    """Fuses normalizations, GELUs and rotary embeddings into standard operators, in place.

    Args:
        model: The graph.
        newest: Operator set to which it may be brought for that.
    """
    _tidy(model)
    wanted = max((_SINCE[each.kind] for each in _blocks(model)[0]), default=0)
    if model.opset_imports.get("", 0) < wanted <= newest:
        try:
            upgrade(model, wanted)
        except StepFailed as error:
            return Fusions({}, tuple(_refused(each, error.message) for each in _blocks(model)[0]))
        _tidy(model)
    found, missed = _blocks(model)
    opset = model.opset_imports.get("", 0)
    build, counts = Builder(model.graph), Counter[str]()
    places = {value: place for place, node in enumerate(model.graph) for value in node.outputs}
    # The last first: what a block takes may be another's result, which is then still to be replaced.
    for each in sorted(found, key=lambda block: places[block.end], reverse=True):
        if opset < _SINCE[each.kind]:
            missed.append(_refused(each, f"it is an operator from operator set {_SINCE[each.kind]} on"))
            continue
        take_over(each.end, each.write(build))
        counts[each.kind] += 1
    if counts[ROTARY]:  # layers share a table
        model.graph.sort()
        merge_common(model)
    _sort(model)
    return Fusions(dict(counts), tuple(missed))


def fuse_for_ort(model: ir.Model) -> Fusions:
    """Fuses attention into ONNX Runtime's operator, in place, and keeps ONNX Runtime from a fusion that is slower."""
    _tidy(model)
    written, missed = fuse_attention(model)
    name_nodes(model)
    part_residual_sums(model)
    return Fusions({"MultiHeadAttention": written} if written else {}, tuple(missed))


def fuse_products(model: ir.Model) -> Fusions:
    """Merges products of one tensor, such as Q, K and V, in place."""
    _tidy(model)
    merged, missed = merge_products(model)
    _tidy(model)
    return Fusions({PRODUCTS: sum(map(len, merged))} if merged else {}, tuple(missed))


def _blocks(model: ir.Model) -> tuple[list[Block], list[NearMiss]]:
    finders: tuple[Callable[[ir.Model], tuple[Sequence[Block], list[NearMiss]]], ...]
    finders = (find_norms, find_gelus, find_rotaries)
    found, missed = zip(*(find(model) for find in finders), strict=True)
    return list(chain(*found)), list(chain(*missed))


def _refused(block: Block, why: str) -> NearMiss:
    source = block.anchor.metadata_props.get("optkit.source", "")
    return NearMiss(block.kind, block.anchor.name or "", source, why)


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
