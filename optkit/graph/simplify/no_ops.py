"""Removes nodes whose result is their input, bit for bit: negative zeros and NaN included."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optkit.graph.simplify.constants import array, ints
from optkit.graph.simplify.randomness import is_training
from optkit.graph.simplify.redirect import redirect
from optkit.graph.walk import STANDARD

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import onnx_ir as ir

_END = (1 << 31) - 1


def remove_no_ops(model: ir.Model) -> None:
    """Removes them from every graph, in place. Inner shapes must be known where a rule needs them."""
    for node in list(model.graph.all_nodes()):
        kept = kept_input(node)
        if kept is not None and all(not value.uses() for value in node.outputs[1:]):
            redirect(node, (kept, *([None] * (len(node.outputs) - 1))))


def kept_input(node: ir.Node) -> ir.Value | None:
    """Returns the input that the node hands on unchanged, or None."""
    if node.domain not in STANDARD or not node.inputs:
        return None
    if node.op_type in _NEUTRAL:
        return _other_operand(node)
    data, test = node.inputs[0], _UNCHANGED.get(node.op_type)
    return data if data is not None and test is not None and test(node) else None


def _same_dtype(node: ir.Node) -> bool:
    before = node.inputs[0].dtype if node.inputs[0] is not None else None
    return before is not None and before == _dtype_asked(node)


def _dtype_asked(node: ir.Node) -> ir.DataType | None:
    import onnx_ir as ir

    if node.op_type == "Cast":
        return ir.DataType(node.attributes.get_int("to", 0))
    like = node.inputs[1]
    return None if like is None else like.dtype


def _keeps_order(node: ir.Node) -> bool:
    order = list(node.attributes.get_ints("perm", ()))
    return bool(order) and order == sorted(order)


def _same_shape(node: ir.Node) -> bool:
    """Whether a Reshape asks for the shape that is there: 0 and equal sizes keep an axis, one -1 is what is left."""
    asked, shape = ints(node, 1), _shape(node.inputs[0])
    if asked is None or shape is None or len(asked) != len(shape) or node.attributes.get_int("allowzero", 0) == 1:
        return False
    moved = [size for size, have in zip(asked, shape, strict=True) if size not in {0, have}]
    return not moved or (moved == [-1] and 0 not in shape)


def _is_matrix(node: ir.Node) -> bool:
    shape = _shape(node.inputs[0])
    return shape is not None and len(shape) == 2 and node.attributes.get_int("axis", 1) == 1  # noqa: PLR2004  # rows, columns


def _does_not_grow(node: ir.Node) -> bool:
    """Whether an Expand asks for sizes that are there already."""
    asked, shape = ints(node, 1), _shape(node.inputs[0])
    return asked is not None and shape is not None and _fits(asked, shape)


def _repeats_once(node: ir.Node) -> bool:
    repeats = ints(node, 1)
    return repeats is not None and all(count == 1 for count in repeats)


def _pads_nothing(node: ir.Node) -> bool:
    pads = ints(node, 1) if len(node.inputs) > 1 else list(node.attributes.get_ints("pads", ()))
    return bool(pads) and not any(pads or ())


def _takes_all(node: ir.Node) -> bool:
    """Whether a Slice goes from 0 to the end in steps of one."""
    starts, ends = ints(node, 1), ints(node, 2)
    steps = ints(node, 4) if len(node.inputs) > 4 and node.inputs[4] is not None else [1]  # noqa: PLR2004  # the last input
    if not starts or ends is None or steps is None:
        return False
    return not any(starts) and all(end >= _END for end in ends) and all(step == 1 for step in steps)


def _is_alone(node: ir.Node) -> bool:
    return len(node.inputs) == 1


def _is_unsplit(node: ir.Node) -> bool:
    return len(node.outputs) == 1


_UNCHANGED: dict[str, Callable[[ir.Node], bool]] = {
    "Identity": lambda _: True,
    "Dropout": lambda node: not is_training(node),
    "Cast": _same_dtype,
    "CastLike": _same_dtype,
    "Transpose": _keeps_order,
    "Reshape": _same_shape,
    "Flatten": _is_matrix,
    "Expand": _does_not_grow,
    "Tile": _repeats_once,
    "Pad": _pads_nothing,
    "Slice": _takes_all,
    "Concat": _is_alone,
    "Sum": _is_alone,
    "Max": _is_alone,
    "Min": _is_alone,
    "Mean": _is_alone,
    "Split": _is_unsplit,
}
# Operator → the operand that changes nothing, and whether it may stand first. Adding 0.0 makes 0.0 of -0.0: only -0.0
# is neutral.
_NEUTRAL = {"Add": (-0.0, True), "Sub": (0.0, False), "Mul": (1.0, True), "Div": (1.0, False), "Pow": (1.0, False)}


def _other_operand(node: ir.Node) -> ir.Value | None:
    neutral, commutes = _NEUTRAL[node.op_type]
    first, second = node.inputs
    for data, operand in ((first, second), (second, first))[: 1 + commutes]:
        if (
            data is not None
            and operand is not None
            and _is_neutral(operand, neutral)
            and _broadcasts_into(operand, data)
        ):
            return data
    return None


def _is_neutral(operand: ir.Value, neutral: float) -> bool:
    import numpy as np

    values = array(operand)
    if values is None or values.dtype.kind not in "iuf" or not (values == neutral).all():
        return False
    return values.dtype.kind != "f" or bool((np.signbit(values) == np.signbit(neutral)).all())


def _broadcasts_into(operand: ir.Value, data: ir.Value) -> bool:
    shape, small = _shape(data), _shape(operand)
    if small == []:
        return True
    return shape is not None and small is not None and _fits(small, shape)


def _fits(small: Sequence[int | str | None], shape: Sequence[int | str | None]) -> bool:
    """Whether broadcasting to `small` leaves `shape` as it is."""
    if len(small) > len(shape):
        return False
    return all(size in {1, have} for size, have in zip(small[::-1], shape[::-1], strict=False))


def _shape(value: ir.Value | None) -> list[int | str | None] | None:
    if value is None or value.shape is None:
        return None
    return [size if isinstance(size, int) else size.value for size in value.shape]
