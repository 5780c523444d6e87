"""Which nodes of a graph run in int8."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx_ir as ir

    from optkit.quant.profiles import Profile

_CONVOLUTIONS = frozenset({"Conv", "ConvTranspose"})


def place(model: ir.Model, profile: Profile) -> list[ir.Node]:
    """Returns the nodes to quantize, in graph order.

    Weighted operators count only with constant weights: products of two activations (attention) lose too much. Other
    operators count where all their activations come from an int8 convolution, so that residual adds and pools of a CNN
    stay in the int8 island while additive masks, residual streams and normalisations of a transformer stay float.
    """
    chosen: list[ir.Node] = []
    island: set[ir.Value] = set()
    for node in model.graph:
        if node.domain not in {"", "ai.onnx"}:
            continue
        is_weighted = node.op_type in profile.weighted and _has_weights(node, profile.min_channels)
        follows = node.op_type in profile.follow and _all_from(node, island)
        if is_weighted or follows:
            chosen.append(node)
        if follows or (is_weighted and node.op_type in _CONVOLUTIONS):
            island.update(node.outputs)
    return chosen


def _has_weights(node: ir.Node, min_channels: int) -> bool:
    weight = node.inputs[1] if len(node.inputs) > 1 else None
    data, fed = node.inputs[0], weight is not None and weight.const_value is not None
    if not fed or weight is None or weight.shape is None or data is None or data.const_value is not None:
        return False
    sizes = [size for size in weight.shape if isinstance(size, int)]
    is_matrix = node.op_type in {"MatMul", "Gemm"}
    if is_matrix and len(sizes) != 2:  # noqa: PLR2004  # rows and columns
        return False
    return min(sizes[:2]) >= min_channels and _is_float(weight)


def _all_from(node: ir.Node, island: set[ir.Value]) -> bool:
    """Whether every float activation that the node reads lies in the island, and there is one."""
    activations = [value for value in node.inputs if value is not None and value.const_value is None]
    floats = [value for value in activations if value.dtype is None or _is_float(value)]
    return bool(floats) and all(value in island for value in floats) and _keeps_scale(node)


def _keeps_scale(node: ir.Node) -> bool:
    """A constant side of a sum or product may dwarf the activation: it stays float."""
    return node.op_type not in {"Add", "Mul"} or all(
        value is not None and value.const_value is None for value in node.inputs
    )


def _is_float(value: ir.Value) -> bool:
    return value.dtype is not None and value.dtype.name == "FLOAT"
