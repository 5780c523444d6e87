"""Fuses the parts of LayerNormalization and RMSNormalization that exporters write out.

Layer normalization (arXiv 1607.06450): (x - mean) / sqrt(variance + epsilon) · scale + bias. RMS normalization
(arXiv 1910.07467) is the same without the mean and the bias.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from optkit.graph.fuse.match import (
    Unmatched,
    made_by,
    near_miss,
    only_reader,
    reduced_axes,
    scalar,
    split_scalar,
)

if TYPE_CHECKING:
    import onnx_ir as ir

    from optkit.graph.fuse.build import Builder
    from optkit.graph.fuse.match import NearMiss

LAYER, RMS = "LayerNormalization", "RMSNormalization"


@dataclass(frozen=True, slots=True)
class Norm:
    """One normalization.

    Attributes:
        kind: The operator that it is.
        anchor: The Sqrt that it was found at.
        x: What is normalized.
        axis: The first of its last axes that are normalized, counted from the end.
        epsilon: Added to the variance.
        scale: Of the result; None if there is none.
        bias: Of the result; None if there is none.
        end: The result.
    """

    kind: str
    anchor: ir.Node
    x: ir.Value
    axis: int
    epsilon: float
    scale: ir.Value | None
    bias: ir.Value | None
    end: ir.Value

    def write(self, build: Builder) -> ir.Value:
        """Returns the result, computed by one node."""
        scale = self.scale if self.scale is not None else self._ones(build)
        inputs = [self.x, scale] if self.bias is None else [self.x, scale, self.bias]
        return build.node(self.kind, inputs, {"axis": self.axis, "epsilon": self.epsilon}, like=self.anchor)

    def _ones(self, build: Builder) -> ir.Value:
        import numpy as np

        assert self.x.shape is not None  # noqa: S101  # `find_norms` made sure
        assert self.x.dtype is not None  # noqa: S101  # likewise
        return build.constant(np.ones(list(self.x.shape)[self.axis :], self.x.dtype.numpy()))


def find_norms(model: ir.Model) -> tuple[list[Norm], list[NearMiss]]:
    """Returns every normalization in the main graph, and what only looks like one. Shapes must be fresh."""
    found: list[Norm] = []
    missed: list[NearMiss] = []
    for root in model.graph:
        moment = _moment(root) if root.op_type == "Sqrt" else None
        if moment is None:
            continue
        x = _uncentered(moment)
        try:
            found.append(_matched(root, moment, x))
        except Unmatched as error:
            missed.append(near_miss(RMS if x is None else LAYER, root, error))
    return found, missed


class _Moment(NamedTuple):
    """What a Sqrt is the root of: mean(d · d) + epsilon."""

    centered: ir.Value
    axes: list[int]
    epsilon: float


def _moment(root: ir.Node) -> _Moment | None:
    total = made_by(root.inputs[0], "Add")
    parts = None if total is None else split_scalar(total)
    mean = None if parts is None else made_by(parts[0], "ReduceMean")
    if parts is None or mean is None or mean.attributes.get_int("keepdims", 1) != 1:
        return None
    square, axes = made_by(mean.inputs[0], "Pow", "Mul"), reduced_axes(mean)
    if square is None or not axes or square.inputs[0] is None:
        return None
    first, second = square.inputs
    is_square = scalar(second) == 2 if square.op_type == "Pow" else first is second  # noqa: PLR2004  # the exponent
    return _Moment(first, axes, parts[1]) if is_square and first is not None else None


def _uncentered(moment: _Moment) -> ir.Value | None:
    """Returns x where d is x minus its mean over the same axes."""
    difference = made_by(moment.centered, "Sub")
    mean = None if difference is None else made_by(difference.inputs[1], "ReduceMean")
    if difference is None or mean is None or mean.inputs[0] is not difference.inputs[0]:
        return None
    return difference.inputs[0] if reduced_axes(mean) == moment.axes else None


def _matched(root: ir.Node, moment: _Moment, x: ir.Value | None) -> Norm:
    centered, axes, epsilon = moment
    if centered.shape is None:
        raise Unmatched("the number of its dimensions is not known before it runs")
    rank = len(centered.shape)
    if sorted(axis % rank for axis in axes) != list(range(rank - len(axes), rank)):
        raise Unmatched("it is not over the last axes")
    scale, end = _parameter(_normal(root, centered), "Mul", len(axes))
    if scale is None and not all(isinstance(size, int) for size in _last(centered, len(axes))):
        raise Unmatched("the size of its last axes is not known before it runs")
    if x is None:
        return Norm(RMS, root, centered, -len(axes), epsilon, scale, None, end)
    bias, end = _parameter(end, "Add", len(axes))
    return Norm(LAYER, root, x, -len(axes), epsilon, scale, bias, end)


def _normal(root: ir.Node, centered: ir.Value) -> ir.Value:
    """Returns `centered` divided by the root."""
    division = only_reader(root.outputs[0], "Div")
    if division is not None and division.inputs[1] is root.outputs[0] and _is_same(division.inputs[0], centered):
        return division.outputs[0]
    inverse = only_reader(root.outputs[0], "Reciprocal", "Div")
    is_inverse = inverse is not None and (inverse.op_type == "Reciprocal" or scalar(inverse.inputs[0]) == 1)
    product = only_reader(inverse.outputs[0], "Mul") if inverse is not None and is_inverse else None
    if product is None or not any(_is_same(value, centered) for value in product.inputs):
        raise Unmatched("what is divided by the deviation is not what it was computed from")
    return product.outputs[0]


def _is_same(value: ir.Value | None, centered: ir.Value) -> bool:
    """Whether two values are one, or are computed by equal subtractions: some exporters subtract the mean twice."""
    if value is centered:
        return True
    first, second = made_by(value, "Sub"), made_by(centered, "Sub")
    return first is not None and second is not None and tuple(first.inputs) == tuple(second.inputs)


def _parameter(value: ir.Value, operator: str, axes: int) -> tuple[ir.Value | None, ir.Value]:
    """Returns the constant over the last axes that `value` is joined with, and the result; or None and `value`."""
    node = only_reader(value, operator)
    if node is None:
        return None, value
    other = next((each for each in node.inputs if each is not value), None)
    is_constant = other is not None and other.is_initializer() and not other.is_graph_input()
    if not is_constant or other is None or other.shape is None or list(other.shape) != _last(value, axes):
        return None, value
    return other, node.outputs[0]


def _last(value: ir.Value, axes: int) -> list[int | ir.SymbolicDim]:
    return [] if value.shape is None else list(value.shape)[-axes:]
