"""Brings any float graph into the form that quantization works on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optkit.core.errors import UsageError
from optkit.graph.bulk import without_collection
from optkit.graph.canonical import fold_into_convolutions, pool_globally
from optkit.graph.gemm import merge_gemm
from optkit.graph.shapes import name_nodes, refresh_shapes
from optkit.graph.upgrade import upgrade

if TYPE_CHECKING:
    import onnx_ir as ir

_MIN_OPSET = 13
"""DequantizeLinear has an axis, for one scale per channel, from here on."""
_QUANTIZED = frozenset(
    {"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "ConvInteger", "MatMulInteger", "QGemm",
     "MatMulIntegerToFloat", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM", "QAttention"}
)  # fmt: skip


@without_collection()
def prepare(model: ir.Model) -> ir.Model:
    """Returns the graph with weights as initializers, unique names, fresh shapes and an operator set of 13 or newer.

    Padding, BatchNormalization, means and biases take the form for which integer kernels exist.

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
    passes.InlinePass()(model)
    upgrade(model, _MIN_OPSET)
    passes.RemoveInitializersFromInputsPass()(model)
    passes.LiftConstantsToInitializersPass(lift_all_constants=False, size_limit=1)(model)
    name_nodes(model)
    refresh_shapes(model)
    fold_into_convolutions(model)
    pool_globally(model)
    merge_gemm(model)
    name_nodes(model)
    return model
