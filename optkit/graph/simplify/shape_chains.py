"""Computes sizes that are known before the model runs: chains of Shape, Gather, Concat and the like.

Each small vector of integers is followed element by element. An element is a number, an axis of some tensor whose size
is only known when the model runs, or unknown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from optkit.graph.simplify.constants import array, ints, new_constant
from optkit.graph.walk import is_standard

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    import onnx_ir as ir

_LONGEST = 64


@dataclass(frozen=True, slots=True)
class Axis:
    """The size of a dynamic axis: by name, or by the tensor that has it."""

    key: Hashable


Element = int | Axis | None
Elements = tuple[Element, ...]


@dataclass(frozen=True, slots=True)
class Sizes:
    """A vector of sizes, or a single one (`is_scalar`)."""

    elements: Elements
    is_scalar: bool = False


def resolve_shapes(model: ir.Model) -> None:
    """Replaces sizes that are all numbers by constants, and lets a Reshape ask by numbers, 0 and -1, in place.

    Inner shapes must be fresh: an axis with a name has one size everywhere.
    """
    known: dict[ir.Value, Sizes] = {}
    for node in list(model.graph.all_nodes()):
        found = _evaluate(node, known)
        if found is not None:
            known[node.outputs[0]] = found
            _fix(node, found)
        if is_standard(node, "Reshape") and node.inputs[1] in known:
            _ask_by_number(node, known[node.inputs[1]].elements)


def _fix(node: ir.Node, sizes: Sizes) -> None:
    import numpy as np

    value = node.outputs[0]
    if value.is_graph_output() or value.dtype is None or not all(isinstance(each, int) for each in sizes.elements):
        return
    numbers = np.array(sizes.elements, value.dtype.numpy())
    constant = new_constant(node, numbers.reshape(()) if sizes.is_scalar else numbers, f"{value.name}_known")
    value.replace_all_uses_with(constant)


def _ask_by_number(node: ir.Node, wanted: Elements) -> None:
    """Gives a Reshape a constant shape, where at most one size is left to be inferred."""
    import numpy as np

    data = node.inputs[0]
    have = sizes_of(data) if data is not None else None
    if have is None or node.attributes.get_int("allowzero", 0) == 1 or all(isinstance(each, int) for each in wanted):
        return
    asked = [
        each if isinstance(each, int) else 0 if each is not None and have[index : index + 1] == (each,) else -1
        for index, each in enumerate(wanted)
    ]
    if asked.count(-1) <= 1:
        node.replace_input_with(1, new_constant(node, np.array(asked, np.int64), f"{node.outputs[0].name}_shape"))


def sizes_of(value: ir.Value) -> Elements | None:
    """Returns a tensor's sizes; None if its rank is not known."""
    if value.shape is None:
        return None
    return tuple(
        size if isinstance(size, int) else Axis(size.value or (id(value), axis))
        for axis, size in enumerate(value.shape)
    )


def _evaluate(node: ir.Node, known: dict[ir.Value, Sizes]) -> Sizes | None:
    rule = _RULES.get(node.op_type)
    if rule is None or not is_standard(node, node.op_type) or not node.inputs:
        return None
    found = rule(node, known)
    return found if found is not None and len(found.elements) <= _LONGEST else None


def _sizes(value: ir.Value | None, known: dict[ir.Value, Sizes]) -> Sizes | None:
    if value in known:
        return known[value]
    numbers = array(value)
    if numbers is None or numbers.dtype.kind not in "iu" or numbers.ndim > 1 or numbers.size > _LONGEST:
        return None
    return Sizes(tuple(int(each) for each in numbers.ravel()), numbers.ndim == 0)


def _shape(node: ir.Node, known: dict[ir.Value, Sizes]) -> Sizes | None:
    del known
    sizes = sizes_of(node.inputs[0]) if node.inputs[0] is not None else None
    if sizes is None:
        return None
    start, end = node.attributes.get_int("start", 0), node.attributes.get_int("end", len(sizes))
    return Sizes(sizes[start:end])


def _gather(node: ir.Node, known: dict[ir.Value, Sizes]) -> Sizes | None:
    data, which = _sizes(node.inputs[0], known), _sizes(node.inputs[1], {})
    if data is None or data.is_scalar or which is None or node.attributes.get_int("axis", 0) not in {0, -1}:
        return None
    count = len(data.elements)
    picked = [index for index in which.elements if isinstance(index, int) and -count <= index < count]
    if len(picked) != len(which.elements):
        return None
    return Sizes(tuple(data.elements[index] for index in picked), which.is_scalar)


def _concat(node: ir.Node, known: dict[ir.Value, Sizes]) -> Sizes | None:
    parts = [_part(value, known) for value in node.inputs]
    if any(part is None for part in parts):
        return None
    joined = tuple(element for part in parts for element in part or ())
    return None if all(element is None for element in joined) else Sizes(joined)


def _part(value: ir.Value | None, known: dict[ir.Value, Sizes]) -> Elements | None:
    """Returns a vector's elements; unknown ones if only its length is known."""
    found = _sizes(value, known)
    if found is not None:
        return None if found.is_scalar else found.elements
    length = sizes_of(value) if value is not None else None
    return (None,) * length[0] if length and len(length) == 1 and isinstance(length[0], int) else None


def _slice(node: ir.Node, known: dict[ir.Value, Sizes]) -> Sizes | None:
    data, axes = _sizes(node.inputs[0], known), ints(node, 3)
    bounds = [ints(node, index) for index in (1, 2)]
    steps = ints(node, 4) if len(node.inputs) > 4 and node.inputs[4] is not None else [1]  # noqa: PLR2004  # the last input
    has_axes = len(node.inputs) > 3 and node.inputs[3] is not None  # noqa: PLR2004  # likewise
    if data is None or data.is_scalar or (has_axes and axes not in ([0], [-1])):
        return None
    start, end = bounds
    if start is None or end is None or steps is None or not len(start) == len(end) == len(steps) == 1 or steps[0] < 1:
        return None
    return Sizes(data.elements[start[0] : end[0] : steps[0]])


def _to_vector(node: ir.Node, known: dict[ir.Value, Sizes]) -> Sizes | None:
    data = _sizes(node.inputs[0], known)
    return Sizes(data.elements) if data is not None and data.is_scalar and _along_first(node) else None


def _to_scalar(node: ir.Node, known: dict[ir.Value, Sizes]) -> Sizes | None:
    data = _sizes(node.inputs[0], known)
    if data is None or data.is_scalar or len(data.elements) != 1 or not _along_first(node):
        return None
    return Sizes(data.elements, is_scalar=True)


def _along_first(node: ir.Node) -> bool:
    axes = list(node.attributes.get_ints("axes", ())) or (ints(node, 1) if len(node.inputs) > 1 else [0])
    return axes in ([0], [-1])


def _same(node: ir.Node, known: dict[ir.Value, Sizes]) -> Sizes | None:
    return known.get(node.inputs[0]) if node.inputs[0] is not None else None


def _cast(node: ir.Node, known: dict[ir.Value, Sizes]) -> Sizes | None:
    import onnx_ir as ir

    wide = {ir.DataType.INT64, ir.DataType.INT32}
    return _same(node, known) if ir.DataType(node.attributes.get_int("to", 0)) in wide else None


_RULES: dict[str, Callable[[ir.Node, dict[ir.Value, Sizes]], Sizes | None]] = {
    "Shape": _shape,
    "Gather": _gather,
    "Concat": _concat,
    "Slice": _slice,
    "Unsqueeze": _to_vector,
    "Squeeze": _to_scalar,
    "Identity": _same,
    "Cast": _cast,
}
