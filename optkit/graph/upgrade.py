"""Brings a graph to a newer operator set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optkit.core.errors import StepFailed
from optkit.graph.quiet import quiet

if TYPE_CHECKING:
    import onnx_ir as ir

_IR_VERSIONS = {21: 10, 22: 10, 23: 11}
"""Operator set → the version of the file format that it came with."""


def upgrade(model: ir.Model, opset: int) -> None:
    """Converts the graph to operator set `opset` if its own is older, in place; weights are not copied.

    Raises:
        StepFailed: An operator cannot be converted.
    """
    from onnxscript import version_converter

    version = model.opset_imports.get("", opset)
    if version < opset:
        try:
            with quiet():  # it tells which of its two converters it takes
                version_converter.convert_version(model, opset, fallback=True)
        except Exception as error:
            raise _failed(version, opset, f"{type(error).__name__}: {error}") from error
    if model.opset_imports.get("", opset) < opset:
        raise _failed(version, opset, "an operator has no newer version")
    model.ir_version = max(model.ir_version or 0, _IR_VERSIONS.get(opset, 0))


def _failed(version: int, opset: int, why: str) -> StepFailed:
    return StepFailed(
        f"the graph cannot be brought from operator set {version} to {opset}: {why.splitlines()[0]}",
        hint="export the model again at the newer operator set",
    )
