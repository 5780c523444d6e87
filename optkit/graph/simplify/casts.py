"""Shortens chains of Cast, once each says which type it makes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optkit.graph.walk import is_standard

if TYPE_CHECKING:
    import onnx_ir as ir

_INTEGERS = {
    "BOOL": 1, "UINT8": 8, "INT8": 7, "UINT16": 16, "INT16": 15, "UINT32": 32, "INT32": 31, "UINT64": 64, "INT64": 63,
}  # fmt: skip
"""Integer type → bits of its magnitude."""
_FLOATS = {"FLOAT16": (11, 5), "BFLOAT16": (8, 8), "FLOAT": (24, 8), "DOUBLE": (53, 11)}
"""Float type → bits of its significand and its exponent."""


def shorten_casts(model: ir.Model) -> None:
    """Casts from the original type where the type between loses nothing, in place; CastLike becomes Cast."""
    for node in model.graph.all_nodes():
        _name_type(node)
    for node in model.graph.all_nodes():
        inner = _producer(node)
        if inner is None or inner.inputs[0] is None or inner.inputs[0].dtype is None:
            continue
        source, between, to = (kind.name for kind in (inner.inputs[0].dtype, _to(inner), _to(node)))
        if _is_skippable(source, between, to):
            node.replace_input_with(0, inner.inputs[0])


def _name_type(node: ir.Node) -> None:
    """Makes a Cast of a CastLike whose type is known: it no longer reads a second tensor, and may be constant."""
    import onnx_ir as ir

    like = node.inputs[1] if is_standard(node, "CastLike") else None
    if like is None or like.dtype is None:
        return
    node.op_type = "Cast"
    node.attributes.add(ir.AttrInt64("to", like.dtype.value))
    node.resize_inputs(1)


def _is_skippable(source: str, between: str, to: str) -> bool:
    """Whether source → between → to is source → to for every value.

    From a float to an integer, what is too large is undefined: such an end is left alone unless it is the beginning.
    """
    if not widens(source, between):
        return False
    return source == to or not (source in _FLOATS and to not in _FLOATS)


def widens(source: str, to: str) -> bool:
    """Returns whether every value of type `source` exists in type `to`."""
    if source in _INTEGERS and to in _INTEGERS:
        signed = source.startswith("INT")
        return source == to or (
            _INTEGERS[source] <= _INTEGERS[to] and (not signed or to.startswith("INT")) and to != "BOOL"
        )
    if source in _INTEGERS and to in _FLOATS:
        significand, exponent = _FLOATS[to]
        return _INTEGERS[source] <= significand and _INTEGERS[source] < 1 << (exponent - 1)
    if source in _FLOATS and to in _FLOATS:
        return all(have <= room for have, room in zip(_FLOATS[source], _FLOATS[to], strict=True))
    return False


def _producer(node: ir.Node) -> ir.Node | None:
    if not is_standard(node, "Cast") or node.inputs[0] is None:
        return None
    inner = node.inputs[0].producer()
    return inner if inner is not None and is_standard(inner, "Cast") else None


def _to(node: ir.Node) -> ir.DataType:
    import onnx_ir as ir

    return ir.DataType(node.attributes.get_int("to", 0))
