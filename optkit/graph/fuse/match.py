"""What patterns are made of: who computes a tensor, who reads it, and which constant it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optkit.graph.walk import is_standard

if TYPE_CHECKING:
    import onnx_ir as ir
    from numpy.typing import NDArray


class Unmatched(Exception):
    """Nodes look like the pattern, but are not; says why."""


@dataclass(frozen=True, slots=True)
class NearMiss:
    """Nodes that look like a pattern and were left as they are.

    Attributes:
        pattern: Its name.
        node: The node that the pattern was looked for at.
        source: Line of the user's model, if the export names it.
        reason: Why it does not match.
    """

    pattern: str
    node: str
    source: str
    reason: str


def near_miss(pattern: str, node: ir.Node, error: Unmatched) -> NearMiss:
    """Returns what is reported of `node`."""
    return NearMiss(pattern, node.name or "", node.metadata_props.get("optkit.source", ""), str(error))


def made_by(value: ir.Value | None, *operators: str) -> ir.Node | None:
    """Returns the node that computes `value` if it is one of these standard operators."""
    node = None if value is None else value.producer()
    return node if node is not None and is_standard(node, *operators) else None


def only_reader(value: ir.Value, *operators: str) -> ir.Node | None:
    """Returns the node that alone reads the numbers in `value`, if it is one of these standard operators.

    Who only asks for the shape does not count; an output of the graph is read by somebody else.
    """
    readers = {use.node for use in value.uses() if use.node.op_type != "Shape"}
    if value.is_graph_output() or len(readers) != 1:
        return None
    node = readers.pop()
    return node if is_standard(node, *operators) else None


def constant(value: ir.Value | None) -> NDArray[Any] | None:
    """Returns what `value` always holds, or None."""
    import onnx_ir as ir

    tensor = None if value is None else ir.convenience.get_const_tensor(value)
    return None if tensor is None else tensor.numpy()


def scalar(value: ir.Value | None) -> float | None:
    """Returns the one number that `value` always holds, or None."""
    found = constant(value)
    return float(found.reshape(())) if found is not None and found.size == 1 else None


def split_scalar(node: ir.Node) -> tuple[ir.Value, float] | None:
    """Returns the tensor and the number that a Mul, Add or Div joins; None if there is no number.

    Only a commutative node may hold the number first.
    """
    first, second = node.inputs[:2]
    if _is_number_beside(second, first):
        return first, scalar(second)  # type: ignore[return-value]  # both were looked at
    if node.op_type in {"Mul", "Add"} and _is_number_beside(first, second):
        return second, scalar(first)  # type: ignore[return-value]  # likewise
    return None


def _is_number_beside(number: ir.Value | None, value: ir.Value | None) -> bool:
    """Whether `number` always holds one number, and leaves the rank of `value` as it is."""
    import onnx_ir as ir

    tensor = None if number is None else ir.convenience.get_const_tensor(number)
    if tensor is None or tensor.size != 1 or value is None:
        return False
    rank = len(tensor.shape)
    return rank == 0 or (value.shape is not None and rank <= len(value.shape))


def scaled(node: ir.Node) -> tuple[ir.Value, float] | None:
    """Returns what a Mul or Div by a number multiplies, and by how much."""
    parts = split_scalar(node) if node.op_type in {"Mul", "Div"} else None
    if parts is None or node.op_type == "Mul":
        return parts
    value, number = parts
    return None if number == 0 else (value, 1 / number)


def unscaled(value: ir.Value | None) -> tuple[ir.Value, float]:
    """Returns the tensor behind `value`, and the product of the numbers that it is multiplied by.

    Raises:
        Unmatched: There is no value.
    """
    if value is None:
        raise Unmatched("an operand is absent")
    number = 1.0
    while (node := made_by(value, "Mul", "Div")) is not None and (parts := scaled(node)) is not None:
        value, number = parts[0], number * parts[1]
    return value, number


def fixed_size(value: ir.Value, axis: int) -> int | None:
    """Returns the size of an axis where it is known."""
    if value.shape is None or not -len(value.shape) <= axis < len(value.shape):
        return None
    size = value.shape[axis]
    return size if isinstance(size, int) else None


def permutation(node: ir.Node) -> tuple[int, ...]:
    """Returns the axes of a Transpose, in their new order; empty where it only reverses them."""
    return tuple(node.attributes.get_ints("perm", ()))


def reduced_axes(node: ir.Node) -> list[int]:
    """Returns the axes of a ReduceMean, sorted; empty if they are not known."""
    given = node.inputs[1] if len(node.inputs) > 1 else None
    if given is None:
        return sorted(node.attributes.get_ints("axes", ()))
    axes = constant(given)
    return [] if axes is None else sorted(int(axis) for axis in axes.ravel())
