"""A glance at an ONNX file: whether TensorRT's parser might misread it. It loads no library and copies no weights."""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING

from optkit.graph.wire import fields, number_of

if TYPE_CHECKING:
    from pathlib import Path

# Numbers of fields (onnx.proto3).
_GRAPH, _FUNCTION = 7, 25
_NODE, _INITIALIZER, _ENDS, _SPARSE = 1, 5, (11, 12), 15
_INPUT, _OP_TYPE, _ATTRIBUTE, _DOMAIN = 1, 4, 5, 7
_NAME, _INTEGER, _TENSOR, _SUBGRAPHS = 1, 3, 5, (6, 11)
_DATA_TYPE, _TYPE, _TENSOR_TYPE, _ELEMENT = 2, 2, 1, 1
_UINT8, _DOUBLE = 2, 11
_WITH_ZERO_POINT = 3
"""Inputs of a QuantizeLinear: value, scale, zero point."""


def may_be_misread(path: Path) -> bool:
    """Whether the file at `path` has what the parser takes and could read as something else; yes, if in doubt.

    That is: uint8 anywhere, float64 at an end, or an operator of another domain than ONNX's. `tensorrt_rules` then says
    which nodes, if any; it has to load the model for that.
    """
    with path.open("rb") as file:
        message = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    try:
        return any(_suspect_model(number, value) for number, value in fields(message))
    except (IndexError, RecursionError):  # damaged, or bodies within bodies without end
        return True


def _suspect_model(number: int, value: memoryview) -> bool:
    return number == _FUNCTION or (number == _GRAPH and _suspect_graph(value))


def _suspect_graph(graph: memoryview) -> bool:
    for number, value in fields(graph):
        if number == _NODE:
            suspect = _suspect_node(value)
        elif number == _INITIALIZER:
            suspect = number_of(value, _DATA_TYPE) == _UINT8
        else:
            suspect = number == _SPARSE or (number in _ENDS and _element_type(value) in {_UINT8, _DOUBLE})
        if suspect:
            return True
    return False


def _suspect_node(node: memoryview) -> bool:
    inputs, operator, attributes = 0, b"", {}
    for number, value in fields(node):
        if number == _DOMAIN and bytes(value) not in {b"", b"ai.onnx"}:
            return True
        if number == _INPUT:
            inputs += 1
        elif number == _OP_TYPE:
            operator = bytes(value)
        elif number == _ATTRIBUTE:
            attributes[_name(value)] = value
    typed = inputs >= _WITH_ZERO_POINT or b"output_dtype" in attributes
    return (operator == b"QuantizeLinear" and not typed) or any(map(_suspect_attribute, attributes.values()))


def _suspect_attribute(attribute: memoryview) -> bool:
    if _name(attribute) in {b"to", b"output_dtype"} and number_of(attribute, _INTEGER) == _UINT8:
        return True
    return any(
        (number == _TENSOR and number_of(value, _DATA_TYPE) == _UINT8)
        or (number in _SUBGRAPHS and _suspect_graph(value))
        for number, value in fields(attribute)
    )


def _name(attribute: memoryview) -> bytes:
    return next((bytes(value) for number, value in fields(attribute) if number == _NAME), b"")


def _element_type(end: memoryview) -> int:
    """Returns the type of the elements of an input or output that is a tensor; 0 of another."""
    kinds = (kind for number, value in fields(end) if number == _TYPE for kind in fields(value))
    return next((number_of(value, _ELEMENT) for number, value in kinds if number == _TENSOR_TYPE), 0)
