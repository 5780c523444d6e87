"""Bias correction: takes out of each layer's bias what rounding its weights adds to its output on average.

Nagel et al., "Data-free quantization through weight equalization and bias correction", 2019, arXiv 1906.04721, with the
inputs' means measured on calibration data. Every layer is corrected for its own weights only: what the layers before it
add is taken out there, not twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from optkit.graph.channels import WEIGHTED, weight_of
from optkit.quant.affine import quantize_weight
from optkit.quant.placement import channel_axis

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    import onnx_ir as ir
    from numpy.typing import NDArray

    from optkit.graph.channels import Constant
    from optkit.quant.engine import Format

_BIAS = 2


def layer_inputs(nodes: Iterable[ir.Node]) -> set[tuple[str, int]]:
    """Returns the tensors that weighted nodes read, each with its axis of channels, from the right."""
    found = {(_input(node), _axis(node)) for node in nodes if node.op_type in WEIGHTED}
    return {(name, axis) for name, axis in found if name and axis is not None}


def correct_biases(
    model: ir.Model, nodes: Collection[str], means: Mapping[tuple[str, int], NDArray[Any]], form: Format
) -> list[str]:
    """Changes biases in place; returns the names of the layers whose bias changed.

    Args:
        model: The float graph, just before it is quantized.
        nodes: Names of the layers that will be.
        means: Tensor and axis of channels → mean per channel, float64.
        form: How weights become int8.
    """
    changed: list[str] = []
    for node in list(model.graph):
        axis = _axis(node)
        if axis is None or node.name not in nodes:
            continue
        mean, weight = means.get((_input(node), axis)), weight_of(node, 0, axis)
        if weight is None or mean is None:
            continue
        shift = output_shift(weight, channel_axis(node), mean, form)
        if _subtract(model.graph, node, shift):
            changed.append(node.name or "")
    return changed


def output_shift(weight: Constant, out: int, mean: NDArray[Any], form: Format) -> NDArray[Any]:
    """Returns by how much rounding the weight moves the mean of each output channel, float64.

    Windows are taken to lie within the input: at padded borders the shift is smaller.

    Args:
        weight: By input channel.
        out: The axis of its output channels.
        mean: Of each input channel.
        form: How weights become int8.
    """
    import numpy as np

    array = weight.array()
    grid = form.grid(array, out)
    shape = [1] * array.ndim
    shape[out] = -1
    scale = grid.scale.reshape(shape) if form.per_channel else grid.scale
    error = quantize_weight(array, grid) * scale - array
    along = np.repeat(mean, weight.repeat).reshape(-1, *[1] * (-weight.axis - 1))
    others = tuple(axis for axis in range(array.ndim) if axis != out)
    return np.asarray((error * along).sum(axis=others, dtype=np.float64))


def _input(node: ir.Node) -> str:
    value = node.inputs[0] if node.inputs else None
    return value.name or "" if value is not None and value.const_value is None else ""


def _axis(node: ir.Node) -> int | None:
    weight = node.inputs[1] if len(node.inputs) > 1 else None
    if node.op_type not in WEIGHTED or weight is None or weight.shape is None:
        return None
    return -1 if node.op_type in {"Gemm", "MatMul"} else 1 - len(weight.shape)


def _subtract(graph: ir.Graph, node: ir.Node, shift: NDArray[Any]) -> bool:
    """Whether the layer has a place for a bias of its own."""
    import numpy as np
    import onnx_ir as ir

    place = _bias_place(node)
    if place is None:
        return False
    reader, index = place
    old = reader.inputs[index] if len(reader.inputs) > index else None
    if old is not None and (old.const_value is None or old.const_value.shape[-1:] != (len(shift),)):
        return False
    before = np.zeros(len(shift), np.float32) if old is None or old.const_value is None else old.const_value.numpy()
    name = f"{node.name}_corrected_bias"
    array = (before - shift).astype(np.float32)
    value = ir.Value(name=name, const_value=ir.Tensor(array, name=name), shape=ir.Shape(array.shape))
    value.type = ir.TensorType(ir.DataType.FLOAT)
    graph.register_initializer(value)
    if len(reader.inputs) <= index:
        reader.resize_inputs(index + 1)
    reader.replace_input_with(index, value)
    return True


def _bias_place(node: ir.Node) -> tuple[ir.Node, int] | None:
    """Returns the node and the input that hold the layer's bias: a MatMul's is that of the Add behind it."""
    if node.op_type != "MatMul":
        return node, _BIAS
    uses = tuple(node.outputs[0].uses())
    if len(uses) != 1 or uses[0].node.op_type != "Add" or node.outputs[0].is_graph_output():
        return None
    reader, index = uses[0].node, 1 - uses[0].idx
    return (reader, index) if reader.inputs[index] is not None else None
