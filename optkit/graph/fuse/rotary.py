"""Fuses rotary position embeddings (RoFormer, arXiv 2104.09864) that turn the first half of a head against the second.

x · cos + (-x₂ | x₁) · sin, with one table of angles for all heads. What the tables hold does not matter, as long as
both of their halves are equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from optkit.graph.fuse.match import Unmatched, constant, fixed_size, made_by, near_miss, only_reader, split_scalar

if TYPE_CHECKING:
    import onnx_ir as ir

    from optkit.graph.fuse.build import Builder
    from optkit.graph.fuse.match import NearMiss

ROTARY = "RotaryEmbedding"
_HEADS, _RANK = 1, 4
_ELEMENTWISE = ("Cast", "Cos", "Sin", "Unsqueeze")


@dataclass(frozen=True, slots=True)
class Rotary:
    """One rotary embedding.

    Attributes:
        anchor: The Neg that it was found at.
        x: What is turned: (batch, heads, sequence, size).
        cos: Factors of x: (batch or 1, 1, sequence, size).
        sin: Factors of the turned x, likewise.
        end: The result.
    """

    kind: ClassVar[str] = ROTARY

    anchor: ir.Node
    x: ir.Value
    cos: ir.Value
    sin: ir.Value
    end: ir.Value

    def write(self, build: Builder) -> ir.Value:
        """Returns the result, computed by one node; halves of tables are nodes that equal ones can share."""
        tables = [self._half(table, build) for table in (self.cos, self.sin)]
        return build.node(ROTARY, [self.x, *tables], like=self.anchor)

    def _half(self, table: ir.Value, build: Builder) -> ir.Value:
        """Returns the first half of a table, without the axis of heads, for each sample."""
        size = fixed_size(self.x, -1)
        assert size is not None  # noqa: S101  # `find_rotaries` made sure
        ends = [build.constant([number], "int64") for number in (0, size // 2, _RANK - 1)]
        half = build.node("Slice", [table, *ends], like=self.anchor)
        half = build.node("Squeeze", [half, build.constant([_HEADS], "int64")], like=self.anchor)
        if _same(table, self.x, 0):
            return half
        batch = build.node("Shape", [self.x], {"start": 0, "end": 1}, like=self.anchor)
        shape = build.node("Concat", [batch, build.constant([1, 1], "int64")], {"axis": 0}, like=self.anchor)
        return build.node("Expand", [half, shape], like=self.anchor)


def find_rotaries(model: ir.Model) -> tuple[list[Rotary], list[NearMiss]]:
    """Returns every rotary embedding in the main graph, and what only looks like one. Shapes must be fresh."""
    found: list[Rotary] = []
    missed: list[NearMiss] = []
    for node in model.graph:
        turned = _turned(node) if node.op_type == "Neg" else None
        if turned is None:
            continue
        try:
            found.append(_matched(node, *turned))
        except Unmatched as error:
            missed.append(near_miss(ROTARY, node, error))
    return found, missed


def _turned(negated: ir.Node) -> tuple[ir.Value, ir.Value] | None:
    """Returns x and (-x₂ | x₁) if that is what a Neg is part of."""
    joined = only_reader(negated.outputs[0], "Concat")
    if joined is None or len(joined.inputs) != 2 or joined.inputs[0] is not negated.outputs[0]:  # noqa: PLR2004  # halves
        return None
    first, second = _half_of(joined.inputs[1]), _half_of(negated.inputs[0])
    if first is None or second is None or first[0] is not second[0] or (first[1], second[1]) != (0, 1):
        return None
    return first[0], joined.outputs[0]


def _half_of(value: ir.Value | None) -> tuple[ir.Value, int] | None:
    """Returns the tensor that `value` is a half of, along the last axis, and which half."""
    node = made_by(value, "Slice", "Split")
    x = None if node is None else node.inputs[0]
    size = None if x is None else fixed_size(x, -1)
    if node is None or x is None or x.shape is None or size is None or size % 2:
        return None
    if node.op_type == "Split":
        last = node.attributes.get_int("axis", 0) in {-1, len(x.shape) - 1}
        equal = last and [fixed_size(output, -1) for output in node.outputs] == [size // 2] * 2
        return (x, node.outputs.index(value)) if equal else None
    bounds = [constant(each) for each in node.inputs[1:]]
    if len(bounds) < 3 or any(each is None or each.size != 1 for each in bounds):  # noqa: PLR2004  # starts, ends, axes
        return None
    start, end, axis, *step = [int(each.reshape(())) for each in bounds if each is not None]
    if axis not in {-1, len(x.shape) - 1}:
        return None
    halves = [(0, size // 2, 1), (size // 2, size, 1)]
    taken = slice(start, end, *step).indices(size)
    return (x, halves.index(taken)) if taken in halves else None


def _matched(negated: ir.Node, x: ir.Value, turned: ir.Value) -> Rotary:
    times = only_reader(turned, "Mul")
    total = None if times is None else only_reader(times.outputs[0], "Add")
    if times is None or total is None:
        raise Unmatched("what is turned is not multiplied by one table and added")
    other = made_by(next(each for each in total.inputs if each is not times.outputs[0]), "Mul")
    if other is None or x not in other.inputs:
        raise Unmatched("what is added is not the same tensor times another table")
    sin = _table(next((each for each in times.inputs if each is not turned), None), x)
    cos = _table(next((each for each in other.inputs if each is not x), None), x)
    return Rotary(negated, x, cos, sin, total.outputs[0])


def _table(value: ir.Value | None, x: ir.Value) -> ir.Value:
    """Returns a table that fits x as far as one can see: a length may have two names, and the operator checks it again.

    Raises:
        Unmatched: It does not.
    """
    import onnx_ir as ir

    if value is None or value.shape is None or x.shape is None or {len(value.shape), len(x.shape)} != {_RANK}:
        raise Unmatched("it is not made of heads with a table of angles for each sample")
    if x.dtype not in {ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16}:
        raise Unmatched(f"the operator takes no {x.dtype}")
    if fixed_size(value, _HEADS) != 1:
        raise Unmatched("its angles are not the same for all heads")
    if fixed_size(value, 2) != fixed_size(x, 2) or not _same(value, x, 3):
        raise Unmatched("its table is not as long as the sequence")
    if fixed_size(value, 0) not in {None, 1, fixed_size(x, 0)}:
        raise Unmatched("its table does not fit the batch")
    if not _has_equal_halves(value):
        raise Unmatched("the halves of its table are not known to be equal")
    return value


def _same(value: ir.Value, other: ir.Value, axis: int) -> bool:
    """Whether two tensors are known to be equally long along an axis."""
    assert value.shape is not None  # noqa: S101  # whoever asks looked at the ranks
    assert other.shape is not None  # noqa: S101  # likewise
    return value.shape[axis] == other.shape[axis] and not value.shape.is_unknown_dim(axis)


def _has_equal_halves(value: ir.Value) -> bool:
    """Whether both halves of the last axis always hold the same."""
    import numpy as np

    while (behind := _behind(value)) is not None:
        value = behind
    table = constant(value)
    if table is not None:
        first, second = np.split(table, 2, axis=-1)
        return np.array_equal(first, second)
    joined = made_by(value, "Concat")
    if joined is None or value.shape is None:
        return False
    last = joined.attributes.get_int("axis", 0) in {-1, len(value.shape) - 1}
    return last and len(joined.inputs) == 2 and joined.inputs[0] is joined.inputs[1]  # noqa: PLR2004  # halves


def _behind(value: ir.Value) -> ir.Value | None:
    """Returns what `value` is computed from, element by element."""
    node = made_by(value, *_ELEMENTWISE, "Mul", "Div")
    if node is None or node.op_type in _ELEMENTWISE:
        return None if node is None else node.inputs[0]
    parts = split_scalar(node)
    return None if parts is None else parts[0]
