"""LSTMs with int8 weights, as ONNX Runtime's DynamicQuantizeLSTM takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from optkit.quant.affine import quantize_weight, weight_grid
from optkit.quant.parameters import array_of
from optkit.quant.placement import is_constant, is_float, is_standard

if TYPE_CHECKING:
    import onnx_ir as ir
    from numpy.typing import NDArray

    from optkit.graph.insert_qdq import Inserter
    from optkit.quant.engine import Format

_INPUT_WEIGHT, _RECURRENT_WEIGHT = 1, 2
_FLOAT_INPUTS = 8


def is_quantizable_lstm(node: ir.Node) -> bool:
    """Returns whether the node is an LSTM with constant float weights and the layout that the kernel knows."""
    if node.op_type != "LSTM" or not is_standard(node) or node.attributes.get_int("layout", 0) != 0:
        return False
    weights = (node.inputs[_INPUT_WEIGHT], node.inputs[_RECURRENT_WEIGHT])
    return all(weight is not None and is_constant(weight) and is_float(weight) for weight in weights)


def quantize_lstm(node: ir.Node, inserter: Inserter, form: Format) -> None:
    """Replaces an LSTM by a DynamicQuantizeLSTM.

    Weights of shape (directions, 4 x hidden, inputs) are stored with the last axes swapped; their scales have the shape
    (directions, 4 x hidden), or (directions).
    """
    inputs = [*node.inputs, *[None] * (_FLOAT_INPUTS - len(node.inputs))]
    for index in (_INPUT_WEIGHT, _RECURRENT_WEIGHT):
        weight = inputs[index]
        if weight is not None:
            inputs[index], *constants = _quantized(weight, inserter, form)
            inputs += constants
    inserter.replace(node, "DynamicQuantizeLSTM", inputs, dict(node.attributes), domain="com.microsoft")


def _quantized(weight: ir.Value, inserter: Inserter, form: Format) -> list[ir.Value]:
    """Returns codes, scale and zero point."""
    import numpy as np

    array = array_of(weight)
    directions, rows, _ = array.shape
    flat = array.reshape(directions * rows if form.per_channel else directions, -1)
    grid = weight_grid(flat, 0, form.limit)
    shape = (directions, rows) if form.per_channel else (directions,)
    codes: NDArray[Any] = quantize_weight(flat, grid).reshape(array.shape)
    transposed = np.ascontiguousarray(codes.transpose(0, 2, 1))
    return [
        inserter.constant(weight, f"{weight.name}_quantized", transposed),
        inserter.constant(weight, f"{weight.name}_scale", grid.scale.reshape(shape)),
        inserter.constant(weight, f"{weight.name}_zero_point", np.zeros(shape, np.int8)),
    ]
