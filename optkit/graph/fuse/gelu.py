"""Fuses GELU (arXiv 1606.08415), exact or by its tanh approximation, in whatever order its factors are multiplied."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from optkit.graph.fuse.match import Unmatched, made_by, near_miss, only_reader, scalar, scaled, split_scalar, unscaled

if TYPE_CHECKING:
    import onnx_ir as ir

    from optkit.graph.fuse.build import Builder
    from optkit.graph.fuse.match import NearMiss

_CUBE = 0.044715
_CLOSE = 1e-3
"""Relative; exporters round the constants to few digits."""


@dataclass(frozen=True, slots=True)
class Gelu:
    """One GELU.

    Attributes:
        anchor: The Erf or Tanh that it was found at.
        x: Its input.
        end: Its result.
    """

    kind: ClassVar[str] = "Gelu"

    anchor: ir.Node
    x: ir.Value
    end: ir.Value

    def write(self, build: Builder) -> ir.Value:
        """Returns the result, computed by one node."""
        attributes = {"approximate": "tanh"} if self.anchor.op_type == "Tanh" else None
        return build.node(self.kind, [self.x], attributes, like=self.anchor)


def find_gelus(model: ir.Model) -> tuple[list[Gelu], list[NearMiss]]:
    """Returns every GELU in the main graph, and what only looks like one."""
    found: list[Gelu] = []
    missed: list[NearMiss] = []
    for node in model.graph:
        one_more = only_reader(node.outputs[0], "Add") if made_by(node.outputs[0], "Erf", "Tanh") else None
        parts = None if one_more is None else split_scalar(one_more)
        if one_more is None or parts is None or parts[1] != 1:
            continue
        try:
            x = _inside_erf(node) if node.op_type == "Erf" else _inside_tanh(node)
            found.append(Gelu(node, x, _product(one_more.outputs[0], x)))
        except Unmatched as error:
            missed.append(near_miss(Gelu.kind, node, error))
    return found, missed


def _inside_erf(erf: ir.Node) -> ir.Value:
    """Returns x of erf(x / √2)."""
    x, factor = unscaled(erf.inputs[0])
    if not math.isclose(factor, math.sqrt(0.5), rel_tol=_CLOSE):
        raise Unmatched("the argument of erf is not divided by the root of 2")
    return x


def _inside_tanh(tanh: ir.Node) -> ir.Value:
    """Returns x of tanh(√(2/π) · (x + 0.044715 x³))."""
    inner, factor = unscaled(tanh.inputs[0])
    total = made_by(inner, "Add")
    if total is None or not math.isclose(factor, math.sqrt(2 / math.pi), rel_tol=_CLOSE):
        raise Unmatched("the argument of tanh is another polynomial")
    for x, rest in (total.inputs, reversed(total.inputs)):
        cube, number = unscaled(rest)
        if x is not None and math.isclose(number, _CUBE, rel_tol=_CLOSE) and _is_cube(cube, x):
            return x
    raise Unmatched("the argument of tanh is another polynomial")


def _is_cube(value: ir.Value, x: ir.Value) -> bool:
    node = made_by(value, "Pow", "Mul")
    if node is None:
        return False
    if node.op_type == "Pow":
        return node.inputs[0] is x and scalar(node.inputs[1]) == 3  # noqa: PLR2004  # the exponent
    squares = [made_by(each, "Mul", "Pow") for each in node.inputs if each is not x]
    return len(squares) == 1 and squares[0] is not None and _is_square(squares[0], x)


def _is_square(node: ir.Node, x: ir.Value) -> bool:
    if node.op_type == "Pow":
        return node.inputs[0] is x and scalar(node.inputs[1]) == 2  # noqa: PLR2004  # the exponent
    return all(each is x for each in node.inputs)


def _product(value: ir.Value, x: ir.Value) -> ir.Value:
    """Returns x/2 times `value`: the factors may come one by one, or multiplied with one another."""
    number, has_x = 1.0, False
    while not (has_x and math.isclose(number, 0.5, rel_tol=_CLOSE)):
        node = only_reader(value, "Mul", "Div")
        if node is None:
            raise Unmatched("it is not multiplied by half of its input")
        parts = scaled(node)
        if parts is not None:
            number *= parts[1]
        else:
            other, factor = unscaled(next((each for each in node.inputs if each is not value), None))
            if node.op_type != "Mul" or other is not x or has_x:
                raise Unmatched("it is multiplied by something else than half of its input")
            number, has_x = number * factor, True
        value = node.outputs[0]
    return value
