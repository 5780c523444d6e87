"""Which nodes of a graph run in int8."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optkit.quant.profiles import clamps, keeps_scale

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx_ir as ir

    from optkit.quant.profiles import Profile

CONVOLUTIONS = frozenset({"Conv", "ConvTranspose"})
_JOINS = frozenset({"Add", "Concat", "Mul"})
_MATRIX_AXES = 2
_WEIGHT, _BIAS = 1, 2


def place(model: ir.Model, profile: Profile, stays: Callable[[ir.Node], bool] | None = None) -> list[ir.Node]:
    """Returns the nodes to quantize, in graph order; those in the bodies of If and Loop too.

    Weighted operators count only with constant weights: products of two activations (attention) lose too much. Other
    operators count where all their activations come from an int8 convolution, so that residual adds and pools of a CNN
    stay in the int8 island while additive masks, residual streams and normalisations of a transformer stay float.

    Args:
        model: The graph.
        profile: Of the target.
        stays: Says of a node whether it must stay float; what follows it then does so, too.
    """
    chosen: list[ir.Node] = []
    island: set[ir.Value] = set()
    for node in model.graph.all_nodes():
        if not is_standard(node) or (stays is not None and stays(node)):
            continue
        is_weighted = node.op_type in profile.weighted and _has_weights(node, profile.min_channels)
        follows = node.op_type in profile.follow and _all_from(node, island)
        if is_weighted or follows:
            chosen.append(node)
        passes = node.op_type in profile.through and _all_from(node, island)
        if follows or passes or (is_weighted and node.op_type in CONVOLUTIONS):
            island.update(node.outputs)
    return chosen


def is_standard(node: ir.Node) -> bool:
    """Returns whether ONNX itself defines the operator."""
    return node.domain in {"", "ai.onnx"}


def is_constant(value: ir.Value | None) -> bool:
    """Returns whether a value's numbers are known."""
    return value is not None and value.const_value is not None


def weight_of(node: ir.Node) -> ir.Value | None:
    """Returns the constant weight of a weighted operator."""
    weight = node.inputs[_WEIGHT] if len(node.inputs) > _WEIGHT else None
    return weight if weight is not None and weight.const_value is not None else None


def bias_of(node: ir.Node) -> ir.Value | None:
    """Returns the bias of a weighted operator."""
    return node.inputs[_BIAS] if len(node.inputs) > _BIAS else None


def channel_axis(node: ir.Node) -> int:
    """Returns the axis of a weight along which its output channels lie."""
    if node.op_type == "Conv":
        return 0
    if node.op_type == "Gemm":
        return 0 if node.attributes.get_int("transB", 0) == 1 else 1
    return 1


def _has_weights(node: ir.Node, min_channels: int) -> bool:
    weight, data = weight_of(node), node.inputs[0]
    if weight is None or weight.shape is None or data is None or is_constant(data) or not is_float(weight):
        return False
    sizes = [size for size in weight.shape if isinstance(size, int)]
    if node.op_type in CONVOLUTIONS:
        groups = node.attributes.get_int("group", 1)
        return min(sizes[0], sizes[1] * groups) >= min_channels
    return len(sizes) == _MATRIX_AXES and min(sizes) >= min_channels and _is_plain(node)


def _is_plain(node: ir.Node) -> bool:
    """Integer kernels add the bias as it is, and multiply by the scales alone."""
    return node.attributes.get_float("alpha", 1.0) == 1.0 and node.attributes.get_float("beta", 1.0) == 1.0


def _all_from(node: ir.Node, island: set[ir.Value]) -> bool:
    """Whether every activation that the node reads lies in the island."""
    return all(value in island for value in activation_inputs(node)) and _keeps_zero(node)


def activation_inputs(node: ir.Node) -> tuple[ir.Value | None, ...]:
    """Returns what an operator computes on, apart from weights: all inputs of a sum, product or Concat, else the first.

    A constant side of a sum or product may dwarf the activation: it counts as an activation, so that it stays float.
    """
    return tuple(node.inputs) if node.op_type in _JOINS else tuple(node.inputs[:1])


def _keeps_zero(node: ir.Node) -> bool:
    """Padding by another number than zero, and cubic interpolation, leave the range of the input."""
    if node.op_type == "Resize":
        return node.attributes.get_string("mode", "nearest") != "cubic"
    filling = node.inputs[_BIAS] if node.op_type == "Pad" and len(node.inputs) > _BIAS else None
    return filling is None or (filling.const_value is not None and not filling.const_value.numpy().any())


def is_float(value: ir.Value) -> bool:
    """Returns whether a value is of float32."""
    return value.dtype is not None and value.dtype.name == "FLOAT"


def shares_scale(node: ir.Node) -> bool:
    """Returns whether the node's outputs take the scale of its first input."""
    return is_standard(node) and keeps_scale(node.op_type)


def clamped(value: ir.Value) -> ir.Value:
    """Returns the end of the chain of Relu and Clip that is all that reads `value`, or `value` itself."""
    uses = list(value.uses())
    if len(uses) != 1 or value.is_graph_output():
        return value
    node, index = uses[0]
    is_clamp = is_standard(node) and clamps(node.op_type) and index == 0 and node.graph is value.graph
    return clamped(node.outputs[0]) if is_clamp else value
