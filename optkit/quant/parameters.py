"""Turns the weights, biases and embeddings of a graph into integers with a DequantizeLinear."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from optkit.quant.affine import quantize_bias, quantize_weight, weight_grid, widened_for_bias
from optkit.quant.placement import bias_of, channel_axis, is_standard, weight_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx_ir as ir
    from numpy.typing import NDArray

    from optkit.graph.insert_qdq import Inserter
    from optkit.quant.affine import Grid
    from optkit.quant.engine import Format

    Array = NDArray[Any]

_WEIGHT, _BIAS = 1, 2
_TABLE_ELEMENTS = 4096
"""Smaller tables, such as relative positions, save nothing worth an error."""
_TABLE_AXES = 2


def quantize_parameters(node: ir.Node, inserter: Inserter, form: Format, bias_for: float | None) -> None:
    """Makes a node with a constant weight read it as int8 codes, and a constant bias as int32 codes.

    A bias that does not fit 32 bits stays float.

    Args:
        node: Conv, ConvTranspose, Gemm or MatMul.
        inserter: Of the model.
        form: How weights become int8.
        bias_for: Scale of the activation, where the target wants an int32 bias.
    """
    weight = weight_of(node)
    if weight is None:
        raise ValueError(f"{node.name} has no constant weight")
    grid, name = form.grid(array_of(weight), channel_axis(node)), weight.name or ""
    bias = None if bias_for is None else _bias_array(node, weight)
    if bias is not None and bias_for is not None:
        widened = widened_for_bias(grid, bias, bias_for, _products(node, weight))
        if widened is not None:
            name = name if widened is grid else f"{name}_of_{node.name}"
            grid = widened
            _write_bias(node, quantize_bias(bias, bias_for, grid.scale), inserter)
    inserter.dequantize(weight_inputs(weight, name, grid, inserter), weight, [(node, _WEIGHT)], grid.axis)


def weight_inputs(weight: ir.Value, name: str, grid: Grid, inserter: Inserter) -> list[ir.Value]:
    """Returns codes, scale and zero point of a weight as initializers beside it, made once per `name`."""
    import numpy as np

    made = [
        inserter.constant(weight, f"{name}_quantized", lambda: quantize_weight(array_of(weight), grid)),
        inserter.constant(weight, f"{name}_scale", grid.scale),
        inserter.constant(weight, f"{name}_zero_point", np.zeros(grid.scale.shape, np.int8)),
    ]
    _release(weight)
    return made


def find_tables(model: ir.Model) -> list[list[ir.Node]]:
    """Returns, for each embedding that can be stored in int8, the nodes that look it up."""
    found: dict[ir.Value, list[ir.Node]] = {}
    for node in model.graph.all_nodes():
        if _is_lookup(node) and node.inputs[0] is not None:
            found.setdefault(node.inputs[0], []).append(node)
    return [
        lookups for table, lookups in found.items() if len(lookups) == len(table.uses()) and not table.is_graph_output()
    ]


def quantize_tables(model: ir.Model, inserter: Inserter, stays: Callable[[ir.Node], bool] | None = None) -> None:
    """Stores embeddings in int8, one scale per column, and dequantizes the rows that are looked up.

    Args:
        model: The graph.
        inserter: Of the model.
        stays: Says of a lookup whether its table must stay float.
    """
    for lookups in find_tables(model):
        table = lookups[0].inputs[0]
        if table is not None and not (stays is not None and any(map(stays, lookups))):
            _quantize_table(table, lookups, inserter)


def array_of(value: ir.Value) -> Array:
    """Returns the numbers of a constant; those in another file are mapped, not copied."""
    if value.const_value is None:
        raise ValueError(f"{value.name} is not constant")
    return value.const_value.numpy()


def drop_unread(model: ir.Model) -> None:
    """Removes the initializers that nothing reads any more."""
    for graph in model.graphs():
        for name, value in list(graph.initializers.items()):
            if not (value.uses() or value.is_graph_output() or value.is_graph_input()):
                del graph.initializers[name]


def _products(node: ir.Node, weight: ir.Value) -> int:
    array = array_of(weight)
    return int(array.size // array.shape[channel_axis(node)])


def _bias_array(node: ir.Node, weight: ir.Value) -> Array | None:
    """Returns a constant bias as one number per output channel, or None if it is none of that kind."""
    import numpy as np

    bias, channels = bias_of(node), array_of(weight).shape[channel_axis(node)]
    if bias is None or bias.const_value is None:
        return None
    array = array_of(bias)
    if array.size not in {1, channels} or array.shape[-1:] not in {(), (1,), (channels,)}:
        return None
    return np.broadcast_to(array.reshape(-1), (channels,))


def _write_bias(node: ir.Node, quantized: tuple[Array, Array], inserter: Inserter) -> None:
    bias = bias_of(node)
    if bias is None:
        return
    names = (f"{bias.name}_of_{node.name}_quantized", f"{bias.name}_of_{node.name}_scale")
    inputs = [inserter.constant(bias, name, array) for name, array in zip(names, quantized, strict=True)]
    inserter.dequantize(inputs, bias, [(node, _BIAS)], 0 if quantized[1].ndim else None)


def _is_lookup(node: ir.Node) -> bool:
    table = node.inputs[0] if node.op_type == "Gather" and is_standard(node) else None
    return (
        table is not None
        and table.const_value is not None
        and table.const_value.dtype.name == "FLOAT"
        and len(table.const_value.shape) == _TABLE_AXES
        and table.const_value.size >= _TABLE_ELEMENTS
        and node.attributes.get_int("axis", 0) == 0
    )


def _quantize_table(table: ir.Value, lookups: list[ir.Node], inserter: Inserter) -> None:
    # Without the zero point, which is 0: ONNX Runtime takes a third longer to subtract it.
    codes, scale, _ = weight_inputs(table, table.name or "", weight_grid(array_of(table), -1), inserter)
    for node in lookups:
        rows = node.outputs[0]
        uses = rows.uses()
        node.replace_input_with(0, codes)
        inserter.dequantize_all(rows, [rows, scale], uses, axis=-1)
        rows.type = codes.type


def _release(weight: ir.Value) -> None:
    """Lets go of the pages of a weight that is mapped from a file."""
    import onnx_ir as ir

    if isinstance(weight.const_value, ir.ExternalTensor):
        weight.const_value.release()
