"""Finds attention: softmax(scale · Q Kᵀ + mask) V, however an exporter spells it.

The search starts at each Softmax and walks both ways, so that no order of the exporter's nodes is presumed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from optkit.graph.fuse.match import (
    Unmatched,
    fixed_size,
    made_by,
    near_miss,
    only_reader,
    permutation,
    scalar,
    scaled,
    unscaled,
)

if TYPE_CHECKING:
    import onnx_ir as ir

    from optkit.graph.fuse.match import NearMiss

PATTERN = "attention"
_RANK = 4
_HEADS_FIRST = (0, 2, 1, 3)
_LAST_SWAPPED = (0, 1, 3, 2)
_HEADS_FIRST_AND_SWAPPED = (0, 2, 3, 1)
_NEVER = -1e4
"""A masked score of this or less has no weight in the softmax of float32, whatever the scores are."""


@dataclass(frozen=True, slots=True)
class Heads:
    """Queries, keys or values.

    Attributes:
        split: [batch, heads, length, size], or None if the graph only holds it transposed.
        packed: [batch, length, heads, size], if it comes from there.
    """

    split: ir.Value | None
    packed: ir.Value | None

    @property
    def size(self) -> int | None:
        """Of one head."""
        known = self.split if self.split is not None else self.packed
        return None if known is None else fixed_size(known, -1)

    @property
    def count(self) -> int | None:
        """Number of heads."""
        counts = [
            None if self.split is None else fixed_size(self.split, 1),
            None if self.packed is None else fixed_size(self.packed, 2),
            self._count_from_width(),
        ]
        return next((count for count in counts if count is not None), None)

    @property
    def flat(self) -> ir.Value | None:
        """[batch, length, heads x size], where `packed` is a Reshape of that."""
        reshape = made_by(self.packed, "Reshape")
        source = None if reshape is None else reshape.inputs[0]
        is_flat = source is not None and source.shape is not None and len(source.shape) == _RANK - 1
        return source if is_flat and source is not None and fixed_size(source, -1) is not None else None

    def _count_from_width(self) -> int | None:
        width = None if self.flat is None else fixed_size(self.flat, -1)
        return width // self.size if width and self.size and width % self.size == 0 else None


@dataclass(frozen=True, slots=True)
class Mask:
    """What is added to the scores, or chooses among them.

    Attributes:
        value: The summand, or the condition.
        kept: None for a summand; else whether scores stay where the condition is true, or where it is false.
        fill: What stands for the others.
    """

    value: ir.Value
    kept: bool | None = None
    fill: float = 0.0


@dataclass(frozen=True, slots=True)
class Attention:
    """One attention.

    Attributes:
        softmax: The node that it was found at.
        query: Queries.
        key: Keys.
        value: Values.
        heads: How many.
        scale: Of the scores.
        masks: Added after scaling.
        guarded: Whether weights that are no numbers count as 0: rows in which all is masked.
        context: The result, [batch, heads, length, size].
        join: The Reshape behind it that makes [batch, length, heads x size] of it, if there is one.
    """

    softmax: ir.Node
    query: Heads
    key: Heads
    value: Heads
    heads: int
    scale: float
    masks: tuple[Mask, ...]
    guarded: bool
    context: ir.Value
    join: ir.Node | None


def find_attention(model: ir.Model) -> tuple[list[Attention], list[NearMiss]]:
    """Returns every attention of float32 in the main graph, and what only looks like one. Shapes must be fresh."""
    found: list[Attention] = []
    missed: list[NearMiss] = []
    for node in model.graph:
        if made_by(node.outputs[0], "Softmax") is None or not _weighs_values(node):
            continue
        try:
            found.append(_matched(node))
        except Unmatched as error:
            missed.append(near_miss(PATTERN, node, error))
    return found, missed


def _weighs_values(softmax: ir.Node) -> bool:
    """Whether the scores come from a product of activations: other uses of Softmax are not worth a word."""
    return softmax.inputs[0] is not None and _product(softmax.inputs[0]) is not None


def _matched(softmax: ir.Node) -> Attention:
    import onnx_ir as ir

    scores = softmax.inputs[0]
    if scores is None or scores.dtype != ir.DataType.FLOAT:
        raise Unmatched("it is not of float32")
    rank = None if scores.shape is None else len(scores.shape)
    if rank != _RANK:
        raise Unmatched(f"its scores have {rank or 'unknown'} dimensions, not {_RANK}")
    if softmax.attributes.get_int("axis", -1) not in {-1, _RANK - 1}:
        raise Unmatched("its softmax is not over the last axis")
    product, scale, masks = _scores(scores)
    query, of_query = unscaled(product.inputs[0])
    transposed, of_key = unscaled(product.inputs[1])
    weights, guarded = _guarded(softmax.outputs[0])
    context = only_reader(weights, "MatMul")
    if context is None or context.inputs[0] is not weights:
        raise Unmatched("its weights do not go into one product alone")
    value = context.inputs[1]
    if value is None or _is_constant(value):
        raise Unmatched("its values are constant")
    queries, (keys, before_transpose), values = _heads(query), _key(transposed), _heads(value)
    parts = (queries, keys, values)
    counts = {each.count for each in parts if each.count is not None}
    if not counts or any(each.size is None for each in parts):
        raise Unmatched("the number or the size of its heads is not known before it runs")
    if len(counts) > 1:
        raise Unmatched("its queries have more heads than its keys or values")
    (count,) = counts
    scale *= of_query * of_key * before_transpose
    result = context.outputs[0]
    return Attention(softmax, queries, keys, values, count, scale, masks, guarded, result, _join(result))


def _product(scores: ir.Value, depth: int = 6) -> ir.Node | None:
    """Returns the product of two activations that the scores come from."""
    product = made_by(scores, "MatMul")
    if product is not None:
        return None if any(value is None or _is_constant(value) for value in product.inputs) else product
    node = made_by(scores, "Add", "Mul", "Div", "Where")
    if node is None or depth == 0:
        return None
    reached = (_product(value, depth - 1) for value in node.inputs if value is not None)
    return next((product for product in reached if product is not None), None)


def _is_constant(value: ir.Value) -> bool:
    import onnx_ir as ir

    return ir.convenience.get_const_tensor(value) is not None


def _scores(scores: ir.Value) -> tuple[ir.Node, float, tuple[Mask, ...]]:
    """Returns the product Q Kᵀ, what it is multiplied by, and the masks that come after that."""
    scale, masks, value = 1.0, [], scores
    while (product := made_by(value, "MatMul")) is None:
        if value is not scores and only_reader(value, "Add", "Mul", "Div", "Where") is None:
            raise Unmatched("its scores before the softmax are read elsewhere, too")
        node = made_by(value, "Add", "Mul", "Div", "Where")
        rest = None if node is None else scaled(node)
        if rest is not None:
            value, factor = rest
            scale *= factor
            continue
        if node is None or node.op_type in {"Mul", "Div"}:
            raise Unmatched(f"{_operator(value)} stands between its scores and its softmax")
        if scale != 1:
            raise Unmatched("its masks are multiplied, too")
        mask, value = _mask(node)
        masks.append(mask)
    if only_reader(product.outputs[0], "Add", "Mul", "Div", "Where", "Softmax") is None:
        raise Unmatched("its scores are read elsewhere, too")
    return product, scale, tuple(masks)


def _operator(value: ir.Value) -> str:
    producer = value.producer()
    return "nothing" if producer is None else producer.op_type


def _mask(node: ir.Node) -> tuple[Mask, ir.Value]:
    """Returns the mask of an Add or Where, and the scores."""
    if node.op_type == "Add":
        first, second = node.inputs[:2]
        if first is None or second is None:
            raise Unmatched("an operand is absent")
        return (Mask(second), first) if _product(first) is not None else (Mask(first), second)
    condition, when_true, when_false = node.inputs[:3]
    if condition is None or when_true is None or when_false is None:
        raise Unmatched("an operand is absent")
    kept = _product(when_true) is not None
    scores, other = (when_true, when_false) if kept else (when_false, when_true)
    fill = scalar(other)
    if fill is None or fill > _NEVER:
        raise Unmatched("masked scores are not replaced by one large negative number")
    return Mask(condition, kept, fill), scores


def _guarded(weights: ir.Value) -> tuple[ir.Value, bool]:
    """Returns the weights behind `Where(IsNaN(weights), 0, weights)`, and whether that is there."""
    readers = {use.node for use in weights.uses()}
    tests = [node for node in readers if node.op_type == "IsNaN"]
    choices = [node for node in readers if node.op_type == "Where"]
    if len(readers) != len(tests) + len(choices) or len(tests) != 1 or len(choices) != 1:
        return weights, False
    choice = choices[0]
    condition, zero, same = choice.inputs[:3]
    if condition is not tests[0].outputs[0] or scalar(zero) != 0 or same is not weights:
        return weights, False
    return choice.outputs[0], True


def _join(context: ir.Value) -> ir.Node | None:
    restated = only_reader(context, "Reshape")
    if restated is not None and restated.outputs[0].shape is not None and len(restated.outputs[0].shape) == _RANK:
        context = restated.outputs[0]  # an exporter states the shape once more
    transpose = only_reader(context, "Transpose")
    if transpose is None or permutation(transpose) != _HEADS_FIRST:
        return None
    return only_reader(transpose.outputs[0], "Reshape")


def _heads(value: ir.Value) -> Heads:
    transpose = made_by(value, "Transpose")
    if transpose is not None and permutation(transpose) == _HEADS_FIRST:
        return Heads(value, transpose.inputs[0])
    if value.shape is None or len(value.shape) != _RANK:
        raise Unmatched("an operand does not have 4 dimensions")
    return Heads(value, None)


def _key(transposed: ir.Value) -> tuple[Heads, float]:
    """Returns the keys, and the numbers that they are multiplied by before they are transposed."""
    transpose = made_by(transposed, "Transpose")
    if transpose is not None and permutation(transpose) == _HEADS_FIRST_AND_SWAPPED:
        return Heads(None, transpose.inputs[0]), 1.0
    if transpose is not None and permutation(transpose) == _LAST_SWAPPED:
        source = transpose.inputs[0]
    else:
        source = _transposed_in_three(transposed)
    if source is None:
        raise Unmatched("its keys are not transposed in their last two axes")
    source, scale = unscaled(source)
    return _heads(source), scale


def _transposed_in_three(value: ir.Value) -> ir.Value | None:
    """Returns the tensor that is transposed with its first two axes joined and parted again."""
    parted = made_by(value, "Reshape")
    transpose = made_by(parted.inputs[0], "Transpose") if parted is not None else None
    joined = made_by(transpose.inputs[0], "Reshape") if transpose is not None else None
    if joined is None or transpose is None or permutation(transpose) != (0, 2, 1):
        return None
    source = joined.inputs[0]
    if source is None or fixed_size(source, -1) is None:
        return None
    sizes = {fixed_size(source, -1), fixed_size(joined.outputs[0], -1), fixed_size(value, -2)}
    return source if len(sizes) == 1 else None
