"""Which inputs and outputs of an operator may be half precision, by its schema."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from optkit.graph.walk import STANDARD, is_standard

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import onnx_ir as ir

HalfName = Literal["float16", "bfloat16"]


@dataclass(frozen=True, slots=True)
class Slots:
    """Positions of a node's float32 inputs and outputs that become half precision together."""

    inputs: frozenset[int]
    outputs: frozenset[int]


def half_slots(node: ir.Node, kind: HalfName, opsets: Mapping[str, int]) -> Slots | None:
    """Returns what of `node` can be half precision, or None if it has to stay float32.

    Inputs that an operator wants in float32 whatever the rest is (the scales of Resize) are left out.
    """
    schema = _schema(node, opsets)
    if schema is None or not all(_is_known(value) for value in (*node.inputs, *node.outputs)):
        return None
    allowed = {constraint.type_param_str: constraint.allowed_type_strs for constraint in schema.type_constraints}
    inputs = list(_floats(node.inputs, schema.inputs))
    outputs = list(_floats(node.outputs, schema.outputs))
    variables = {variable for _, variable in inputs}
    free = {variable for _, variable in outputs if variable in allowed} - variables
    if free and not _is_cast(node):  # an attribute says what comes out
        return None
    if any(f"tensor({kind})" not in allowed[variable] for _, variable in (*inputs, *outputs) if variable in allowed):
        return None
    return Slots(
        frozenset(index for index, variable in inputs if variable in allowed),
        frozenset(index for index, variable in outputs if variable in allowed),
    )


def is_float(value: ir.Value | None) -> bool:
    """Returns whether a value is a float32 tensor, as far as is known."""
    return value is not None and value.dtype is not None and value.dtype.name == "FLOAT"


def _is_cast(node: ir.Node) -> bool:
    return is_standard(node, "Cast")


def _is_known(value: ir.Value | None) -> bool:
    import onnx_ir as ir

    return value is None or not value.name or isinstance(value.type, ir.TensorType)


def _floats(values: Sequence[ir.Value | None], formal: Sequence[Any]) -> Iterator[tuple[int, str]]:
    """Yields position and type variable of each float32 tensor; the last formal parameter may repeat."""
    for index, value in enumerate(values):
        if is_float(value) and formal:
            parameter = formal[min(index, len(formal) - 1)]
            yield index, getattr(parameter, "type_str", None) or parameter.typeStr


def _schema(node: ir.Node, opsets: Mapping[str, int]) -> Any:  # noqa: ANN401  # onnx's or onnxruntime's, alike in use
    import onnx.defs

    if node.domain not in STANDARD:
        return _contrib_schemas().get((node.domain, node.op_type))
    version = opsets.get("", opsets.get("ai.onnx", 1))
    try:
        return onnx.defs.get_schema(node.op_type, max_inclusive_version=version, domain="")
    except onnx.defs.SchemaError:
        return None


@cache
def _contrib_schemas() -> dict[tuple[str, str], Any]:
    """Returns the schemas of ONNX Runtime's own operators; none where its build keeps them to itself."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    listed: list[Any] = getattr(state, "get_all_operator_schema", list)()
    return {(schema.domain, schema.name): schema for schema in listed if schema.domain}
