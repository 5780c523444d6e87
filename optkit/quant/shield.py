"""Keeps in float what is meant to be float, and in int8 what is meant to be int8.

ONNX Runtime quantizes the weight of a convolution or Gemm that stands between a DequantizeLinear and a QuantizeLinear,
with one scale for all channels. It does so only where the DequantizeLinear has a single scale: such a layer gets one of
its own, with the same scale once per channel, which computes the same floats.

It leaves a product in float that only a Relu reads whose result stays float, though it has a kernel for the product
alone: there the Relu becomes a Max.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from optkit.quant.placement import is_constant, is_standard

if TYPE_CHECKING:
    import onnx_ir as ir

    from optkit.graph.insert_qdq import Inserter

_LAYERS = frozenset({"Conv", "ConvTranspose", "Gemm"})
_CHANNELS = 1
_PRODUCTS = frozenset({"Gemm", "MatMul"})


def shield_floats(model: ir.Model, inserter: Inserter) -> list[str]:
    """Gives each float layer that reads dequantized codes a DequantizeLinear with one scale per channel, in place.

    Returns:
        The names of the layers.
    """
    found = [(node, source) for node in model.graph.all_nodes() if (source := _dequantized(node)) is not None]
    for node, source in found:
        _shield(node, source, inserter)
    return [node.name or "" for node, _ in found]


def free_products(model: ir.Model, inserter: Inserter) -> list[str]:
    """Makes a Max of each Relu that would keep the int8 product before it in float, in place.

    Returns:
        The names of the products.
    """
    found = [(node, relu) for node in model.graph.all_nodes() if (relu := _hindrance(node)) is not None]
    for _, relu in found:
        _to_max(relu, inserter)
    return [node.name or "" for node, _ in found]


def _hindrance(node: ir.Node) -> ir.Node | None:
    """Returns the Relu that is all that reads an int8 product, if nothing quantizes its result."""
    if node.op_type not in _PRODUCTS or not all(map(_is_dequantized, node.inputs[:2])):
        return None
    readers = [reader for reader, _ in node.outputs[0].uses()]
    if len(readers) != 1 or readers[0].op_type != "Relu" or node.outputs[0].is_graph_output():
        return None
    quantized = any(reader.op_type == "QuantizeLinear" for reader, _ in readers[0].outputs[0].uses())
    return None if quantized else readers[0]


def _is_dequantized(value: ir.Value | None) -> bool:
    producer = value.producer() if value is not None else None
    return producer is not None and producer.op_type == "DequantizeLinear"


def _to_max(relu: ir.Node, inserter: Inserter) -> None:
    import numpy as np

    value = relu.inputs[0]
    if value is not None:
        inserter.replace(relu, "Max", [value, inserter.constant(value, "zero", np.zeros((), np.float32))])


def _dequantized(node: ir.Node) -> ir.Node | None:
    """Returns the DequantizeLinear that a float layer reads its activation from, if it does."""
    if node.op_type not in _LAYERS or not is_standard(node) or not is_constant(node.inputs[1]):
        return None
    value = node.inputs[0]
    producer = value.producer() if value is not None else None
    return producer if producer is not None and producer.op_type == "DequantizeLinear" else None


def _shield(node: ir.Node, source: ir.Node, inserter: Inserter) -> None:
    import numpy as np

    codes, value, channels = source.inputs[0], node.inputs[0], _input_channels(node)
    constants = [each for each in source.inputs[1:] if each is not None]
    if codes is None or value is None or not channels:
        return
    repeated = []
    for constant in constants:
        number = constant.const_value
        if number is None or number.size != 1:
            return
        array = np.full(channels, number.numpy().reshape(()))
        repeated.append(inserter.constant(constant, f"{constant.name}_by_{channels}_channels", array))
    uses = [(node, 0)]
    inserter.dequantize([codes, *repeated], value, uses, _CHANNELS)
    if not value.uses() and not value.is_graph_output() and source.graph is not None:
        source.graph.remove(source, safe=True)


def _input_channels(node: ir.Node) -> int:
    weight = node.inputs[1]
    shape = weight.shape if weight is not None else None
    if shape is None or not all(isinstance(size, int) for size in shape):
        return 0
    sizes = [int(size) for size in shape if isinstance(size, int)]
    if node.op_type == "Conv":
        return sizes[1] * node.attributes.get_int("group", 1)
    if node.op_type == "ConvTranspose":
        return sizes[0]
    if node.attributes.get_int("transA", 0) == 1:
        return 0
    return sizes[1] if node.attributes.get_int("transB", 0) == 1 else sizes[0]
