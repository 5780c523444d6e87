"""Brings any float graph into the form that quantization works on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optkit.core.errors import StepFailed, UsageError
from optkit.graph.save import to_proto
from optkit.graph.shapes import name_nodes, refresh_shapes

if TYPE_CHECKING:
    import onnx_ir as ir

_MIN_OPSET = 13
"""DequantizeLinear has an axis, for one scale per channel, from here on."""
_QUANTIZED = frozenset(
    {"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "ConvInteger", "MatMulInteger", "QGemm",
     "MatMulIntegerToFloat", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM", "QAttention"}
)  # fmt: skip


def prepare(model: ir.Model) -> ir.Model:
    """Returns the graph with weights as initializers, unique names, fresh shapes and an operator set of 13 or newer.

    Raises:
        UsageError: The graph is quantized already; names the first such node.
        StepFailed: Its operator set is too old to be converted.
    """
    import onnx_ir.passes.common as passes

    for node in model.graph.all_nodes():
        if node.op_type in _QUANTIZED or node.op_type.startswith("QLinear"):
            raise UsageError(
                f"the model is quantized already: node {node.name!r} is {node.op_type}",
                hint="start from the float model",
            )
    model = _recent(model)
    passes.RemoveInitializersFromInputsPass()(model)
    passes.LiftConstantsToInitializersPass(lift_all_constants=False, size_limit=1)(model)
    name_nodes(model)
    refresh_shapes(model)
    return model


def _recent(model: ir.Model) -> ir.Model:
    import onnx_ir as ir
    from onnx import version_converter

    version = model.opset_imports.get("", _MIN_OPSET)
    if version >= _MIN_OPSET:
        return model
    try:
        proto = version_converter.convert_version(to_proto(model), _MIN_OPSET)
    except Exception as error:  # the converter raises bare RuntimeErrors and more
        raise StepFailed(
            f"operator set {version} is too old to quantize, and converting it to {_MIN_OPSET} failed: {error}",
            hint="export the model again at operator set 17 or newer",
        ) from error
    return ir.serde.deserialize_model(proto)
