"""Writes graphs with int8 weights whose activations are quantized at run time, one scale per tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optkit.graph.bulk import without_collection
from optkit.graph.gemm import split_gemm
from optkit.graph.insert_qdq import Inserter
from optkit.quant.affine import weight_grid
from optkit.quant.dynamic_lstm import is_quantizable_lstm, quantize_lstm
from optkit.quant.parameters import array_of, drop_unread, quantize_tables, weight_inputs
from optkit.quant.placement import is_constant, is_float, is_standard, weight_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx_ir as ir

    from optkit.quant.engine import Format

_MATRIX_AXES = 2


@without_collection()
def write_dynamic(model: ir.Model, form: Format, stays: Callable[[ir.Node], bool] | None = None) -> ir.Model:
    """Returns a copy of the graph with int8 weights in matrix products, LSTMs and embeddings.

    A product becomes DynamicQuantizeLinear and MatMulInteger, which ONNX Runtime fuses with the scaling behind them; an
    LSTM becomes ONNX Runtime's DynamicQuantizeLSTM. Convolutions stay float: ConvInteger is several times slower than a
    float convolution.

    Args:
        model: The graph. A Gemm called `name` is seen as the MatMul `name_matmul`.
        form: How weights become int8.
        stays: Says of a node whether it must stay float.
    """
    copy = model.clone()
    split_gemm(copy)
    inserter = Inserter(copy)
    quantized: dict[tuple[ir.Value, int], list[ir.Value]] = {}
    for node in list(copy.graph.all_nodes()):
        if stays is not None and stays(node):
            continue
        if _is_product(node):
            _quantize_product(node, inserter, form, quantized)
        elif is_quantizable_lstm(node):
            quantize_lstm(node, inserter, form)
            copy.opset_imports.setdefault("com.microsoft", 1)
    quantize_tables(copy, inserter, stays)
    drop_unread(copy)
    return copy


def dynamic_layers(model: ir.Model) -> list[ir.Node]:
    """Returns the nodes that `write_dynamic` quantizes, in graph order."""
    return [node for node in model.graph.all_nodes() if _is_product(node) or is_quantizable_lstm(node)]


def _is_product(node: ir.Node) -> bool:
    weight = weight_of(node) if node.op_type == "MatMul" and is_standard(node) else None
    if weight is None or weight.const_value is None or is_constant(node.inputs[0]):
        return False
    return is_float(weight) and len(weight.const_value.shape) >= _MATRIX_AXES


def _quantize_product(
    node: ir.Node, inserter: Inserter, form: Format, quantized: dict[tuple[ir.Value, int], list[ir.Value]]
) -> None:
    """Replaces a MatMul by (a_code - a_zero) @ w_code, in integers, times a_scale x w_scale.

    Args:
        node: MatMul with a constant right side.
        inserter: Of the model.
        form: How weights become int8.
        quantized: Activation and graph → its codes, scale and zero point, so that readers share them.
    """
    import onnx_ir as ir

    data, weight = node.inputs[0], weight_of(node)
    if data is None or weight is None:
        return
    array = array_of(weight)
    grid = form.grid(array, 1) if array.ndim == _MATRIX_AXES else weight_grid(array, None, form.limit)
    del array  # else the file that it is mapped from could not be let go
    codes, scale, zero_point = weight_inputs(weight, weight.name or "", grid, inserter)
    key = (data, id(node.graph))
    if key not in quantized:
        quantized[key] = list(inserter.before(node, "DynamicQuantizeLinear", [data], outputs=3))
    activation, activation_scale, activation_zero = quantized[key]
    (sums,) = inserter.before(node, "MatMulInteger", [activation, codes, activation_zero, zero_point])
    (floats,) = inserter.before(node, "Cast", [sums], {"to": ir.DataType.FLOAT.value})
    (scales,) = inserter.before(node, "Mul", [activation_scale, scale])
    inserter.replace(node, "Mul", [floats, scales])
