"""Writes attention as ONNX Runtime's MultiHeadAttention; the projections stay apart, for quantization.

Specification: `com.microsoft.MultiHeadAttention` in ONNX Runtime's ContribOperators.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from optkit.graph.fuse.attention import PATTERN, find_attention
from optkit.graph.fuse.build import Builder, take_over
from optkit.graph.fuse.match import Unmatched, fixed_size, near_miss

if TYPE_CHECKING:
    import onnx_ir as ir

    from optkit.graph.fuse.attention import Attention, Heads, Mask
    from optkit.graph.fuse.match import NearMiss

_DOMAIN = "com.microsoft"
_RANK = 4
_MIN_OPSET = 13
"""Unsqueeze takes its axes as an input from here on."""
_LOWEST = -3.4028234663852886e38
"""Of float32: scores added to it leave it as it is."""


def fuse_attention(model: ir.Model) -> tuple[int, list[NearMiss]]:
    """Replaces attention by MultiHeadAttention, in place; shapes must be fresh.

    Returns:
        How often, and what only looks like attention.
    """
    import onnx_ir.passes.common as passes

    if model.opset_imports.get("", 0) < _MIN_OPSET:
        return 0, []
    found, missed = find_attention(model)
    writer, written = _Writer(Builder(model.graph)), 0
    for attention in found:
        try:
            writer.write(attention)
            written += 1
        except Unmatched as error:
            missed.append(near_miss(PATTERN, attention.softmax, error))
    if found:
        model.opset_imports.setdefault(_DOMAIN, 1)
        model.graph.sort()
        passes.RemoveUnusedNodesPass()(model)
    return written, missed


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes into one graph.

    Attributes:
        build: Makes nodes.
        biases: Masks and length of the queries → what is added to the scores: layers share their masks.
    """

    build: Builder
    biases: dict[tuple[object, ...], ir.Value] = field(default_factory=dict)

    def write(self, attention: Attention) -> None:
        """Replaces one attention.

        Raises:
            Unmatched: The operator cannot hold it; nothing has been replaced.
        """
        key, value = attention.key, attention.value
        if key.packed is not None and value.packed is not None:
            operands = [self._flat(each, attention) for each in (attention.query, key, value)]
        elif key.split is not None and value.split is not None:
            operands = [self._flat(attention.query, attention), key.split, value.split]
        else:
            raise Unmatched("its keys are transposed and its values are not")
        bias, like = self._bias(attention), attention.softmax
        attributes = {"num_heads": attention.heads, "scale": attention.scale}
        result = self.build.node(
            "MultiHeadAttention", [*operands, None, None, bias], attributes, like=like, domain=_DOMAIN
        )
        if attention.guarded and bias is not None:
            # The operator gives NaN where every key is masked.
            is_nan = self.build.node("IsNaN", [result], like=like)
            result = self.build.node("Where", [is_nan, self.build.constant(0, "float32"), result], like=like)
        self._replace(attention, result)

    def _replace(self, attention: Attention, result: ir.Value) -> None:
        """Lets what reads the context read `result`, [batch, length, heads x size]."""
        join, like = attention.join, attention.softmax
        if join is None:
            shape = self.build.constant([0, 0, attention.heads, attention.value.size or 0], "int64")
            parted = self.build.node("Reshape", [result, shape], like=like)
            result = self.build.node("Transpose", [parted], {"perm": (0, 2, 1, 3)}, like=like)
            end = attention.context
        else:
            end = join.outputs[0]
            if end.shape is None or len(end.shape) != _RANK - 1:
                join.replace_input_with(0, result)
                return
        take_over(end, result)

    def _flat(self, heads: Heads, attention: Attention) -> ir.Value:
        """Returns [batch, length, heads x size]."""
        if heads.flat is not None:
            return heads.flat
        source, like = heads.packed, attention.softmax
        if source is None:
            source = self.build.node("Transpose", [heads.split], {"perm": (0, 2, 1, 3)}, like=like)
        shape = self.build.constant([0, 0, attention.heads * (heads.size or 0)], "int64")
        return self.build.node("Reshape", [source, shape], like=like)

    def _bias(self, attention: Attention) -> ir.Value | None:
        if not attention.masks:
            return None
        key = (*((mask.value, mask.kept, mask.fill) for mask in attention.masks), _length(attention.query))
        if key not in self.biases:
            like = attention.softmax
            total = self._summand(attention.masks[0], like)
            for mask in attention.masks[1:]:
                total = self._sum(total, self._summand(mask, like), like)
            self.biases[key] = self._with_rows(total, attention)
        return self.biases[key]

    def _summand(self, mask: Mask, like: ir.Node) -> ir.Value:
        """Returns what the mask adds to scores, with 4 axes."""
        import onnx_ir as ir

        value, shape = mask.value, mask.value.shape
        if shape is None:
            raise Unmatched("the shape of its mask is not known before it runs")
        if mask.kept is not None:
            stays = self.build.constant(0, "float32")
            fill = self.build.constant(min(mask.fill, _LOWEST), "float32")
            value = self.build.node("Where", [value, *((stays, fill) if mask.kept else (fill, stays))], like=like)
        missing = _RANK - len(shape)
        if missing:
            axes = self.build.constant(list(range(missing)), "int64")
            value = self.build.node("Unsqueeze", [value, axes], like=like)
        value.shape = ir.Shape([*([1] * missing), *shape])
        return value

    def _sum(self, first: ir.Value, second: ir.Value, like: ir.Node) -> ir.Value:
        import onnx_ir as ir

        total = self.build.node("Add", [first, second], like=like)
        pairs = zip(first.shape or (), second.shape or (), strict=True)
        total.shape = ir.Shape([b if a == 1 else a for a, b in pairs])
        return total

    def _with_rows(self, bias: ir.Value, attention: Attention) -> ir.Value:
        """Returns the bias with a row for each query: the operator broadcasts the first two axes only."""
        if fixed_size(bias, 3) == 1:
            raise Unmatched("its mask is the same for every key")
        source, axis = _lengths(attention.query)
        rows = fixed_size(bias, 2)
        if (rows is not None and rows > 1) or fixed_size(source, axis) == 1:
            return bias
        # A size that is not known before it runs may be 1, too; it does no harm to widen it to itself.
        like, one = attention.softmax, self.build.constant([1], "int64")
        sizes = self.build.node("Shape", [source], like=like)
        length = self.build.node("Gather", [sizes, self.build.constant([axis], "int64")], like=like)
        shape = self.build.node("Concat", [one, one, length, one], {"axis": 0}, like=like)
        return self.build.node("Expand", [bias, shape], like=like)


def _lengths(query: Heads) -> tuple[ir.Value, int]:
    """Returns the tensor and its axis over the queries."""
    if query.packed is not None:
        return query.packed, 1
    if query.split is None:
        raise Unmatched("its queries are transposed")
    return query.split, 2


def _length(query: Heads) -> object:
    """Returns what tells apart lengths of queries: the size or its name, or else the tensor itself."""
    source, axis = _lengths(query)
    size = None if source.shape is None else source.shape[axis]
    if isinstance(size, int):
        return size
    return source if size is None or size.value is None else size.value
