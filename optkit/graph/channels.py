"""Where a graph can change the scale of a tensor's channels without changing what it computes.

Dividing channel c of a tensor by s[c] > 0 is free where the constants in front of it can be divided instead, and
where the constants behind it can be multiplied: the two halves of cross-layer equalisation and of SmoothQuant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx_ir as ir
    from numpy.typing import NDArray

_MATRIX_PRODUCTS = frozenset({"Gemm", "MatMul"})
WEIGHTED = _MATRIX_PRODUCTS | {"Conv", "ConvTranspose"}
_MATRIX = 2
_RESHAPES = frozenset({"Flatten", "Reshape", "Squeeze", "Unsqueeze"})
_HOPS = 16
"""Operators between two constants that are looked through; more than any real block has."""
_DOMAINS = frozenset({"", "ai.onnx", "com.microsoft"})
# f(x / s) = f(x) / s for every s > 0, channel by channel.
_HOMOGENEOUS = frozenset(
    {"AveragePool", "Dropout", "GlobalAveragePool", "GlobalMaxPool", "Identity", "LeakyRelu", "MaxPool", "Relu"}
)
# Operator → the inputs whose slices along the last axis scale the channels of the first output.
_NORMS: Mapping[str, tuple[int, ...]] = {
    "LayerNormalization": (1, 2),
    "RMSNormalization": (1,),
    "SimplifiedLayerNormalization": (1,),
    "SkipLayerNormalization": (2, 3),
    "SkipSimplifiedLayerNormalization": (2,),
}


@dataclass(frozen=True, slots=True)
class Constant:
    """A constant input of a node, of which each slice along one axis belongs to a channel.

    Attributes:
        node: The node.
        index: Which of its inputs.
        axis: The axis, from the right (-1 is the last); the constant broadcasts along axes that it lacks.
        repeat: Number of neighbouring slices that belong to one channel.
    """

    node: ir.Node
    index: int
    axis: int
    repeat: int = 1

    def array(self) -> NDArray[Any]:
        """Returns the values, float32."""
        import numpy as np

        value = self.node.inputs[self.index]
        if value is None or value.const_value is None:
            raise ValueError(f"input {self.index} of {self.node.name} is no constant")
        return np.asarray(value.const_value.numpy())


def producers(value: ir.Value, axis: int, hops: int = _HOPS) -> tuple[Constant, ...] | None:
    """Returns the constants to divide so that the channels of `value` are divided; None if it takes more than that.

    Args:
        value: A tensor that only its channels' scales shall change of.
        axis: Its axis of channels, from the right.
        hops: How many operators to look through.
    """
    node = value.producer()
    if (
        node is None
        or node.domain not in _DOMAINS
        or value.is_graph_output()
        or value is not node.outputs[0]
        or not hops
    ):
        return None
    if node.op_type in WEIGHTED:
        return _of_product(node, axis)
    if node.op_type in _NORMS:
        return _of_norm(node, axis)
    if node.op_type in {"Add", "Sub", "Mul"}:
        return _of_sum_or_scale(node, axis, hops)
    if node.op_type == "ReduceMean":
        before = next((before for before, after in _mean_axes(node).items() if after == axis), None)
        return None if before is None else _alone(node.inputs[0], before, hops)
    index = _transparent(node, axis)
    return None if index is None else _alone(node.inputs[index], axis, hops)


def consumers(value: ir.Value, axis: int, hops: int = _HOPS) -> tuple[Constant, ...] | None:
    """Returns the constants to multiply so that dividing the channels of `value` changes nothing behind it.

    None if anything else reads the tensor.
    """
    if value.is_graph_output() or not value.uses() or not hops:
        return None
    found: list[Constant] = []
    for use in value.uses():
        reached = behind(use.node, use.idx, axis, hops - 1)
        if reached is None:
            return None
        found.extend(reached)
    return tuple(found)


def behind(node: ir.Node, index: int, axis: int, hops: int = _HOPS) -> tuple[Constant, ...] | None:
    """Returns what `consumers` does for a single reader: the node, which reads the tensor as input `index`."""
    weight = weight_of(node, index, axis)
    if weight is not None:
        return (weight,)
    if index != 0 or node.domain not in _DOMAINS or any(v.uses() or v.is_graph_output() for v in node.outputs[1:]):
        return None
    result = node.outputs[0]
    if _transparent(node, axis) == 0:
        return consumers(result, axis, hops)
    if node.op_type == "ReduceMean":
        after = _mean_axes(node).get(axis)
        return None if after is None else consumers(result, after, hops)
    return _behind_flattening(node, axis, hops)


def reshapes_only(node: ir.Node) -> bool:
    """Whether the node moves data between other axes, and leaves the last one as it is."""
    if node.domain not in _DOMAINS:
        return False
    before, after = node.inputs[0] if node.inputs else None, node.outputs[0]
    shapes = [value.shape for value in (before, after) if value is not None and value.shape is not None]
    if len(shapes) != 2 or not all(shapes) or not isinstance(shapes[0][-1], int):  # noqa: PLR2004  # both are known
        return False
    if node.op_type == "Transpose":
        return node.attributes.get_ints("perm", (0,))[-1] == len(shapes[0]) - 1
    # The index of a channel is the flat index modulo their number, before and after.
    return node.op_type in _RESHAPES and shapes[0][-1] == shapes[1][-1]


def weight_of(node: ir.Node, index: int = 0, axis: int = -1) -> Constant | None:
    """Returns the weight that the channels of input `index` of a weighted node meet, or None."""
    weight = node.inputs[1] if len(node.inputs) > 1 else None
    if (
        index != 0
        or node.op_type not in WEIGHTED
        or node.domain not in _DOMAINS
        or weight is None
        or not _is_float(weight)
    ):
        return None
    rank = len(weight.shape or ())
    if node.op_type in _MATRIX_PRODUCTS:
        plain = rank == _MATRIX and axis == -1 and not node.attributes.get_int("transA", 0)
        return Constant(node, 1, -1 if node.attributes.get_int("transB", 0) else -2) if plain else None
    return _window(node, weight, rank) if axis == 1 - rank else None


def _window(node: ir.Node, weight: ir.Value, rank: int) -> Constant | None:
    """A convolution's weight by input channel; None if groups mix several channels."""
    groups = node.attributes.get_int("group", 1)
    if node.op_type == "ConvTranspose":
        return Constant(node, 1, -rank) if groups == 1 else None
    out, per_group = weight.shape[0], weight.shape[1]  # type: ignore[index]  # a convolution's weight has a rank
    if groups == 1:
        return Constant(node, 1, 1 - rank)
    if per_group == 1 and isinstance(out, int):
        return Constant(node, 1, -rank, out // groups)
    return None


def rescale(graph: ir.Graph, constant: Constant, factors: NDArray[Any]) -> None:
    """Multiplies the constant's slices by `factors`, float64[channels], in place; other readers keep the old one."""
    import numpy as np
    import onnx_ir as ir

    array, repeated = constant.array(), np.repeat(factors, constant.repeat)
    scaled = (array * repeated.reshape(-1, *[1] * (-constant.axis - 1))).astype(np.float32)
    value = constant.node.inputs[constant.index]
    if value is None or len(value.uses()) > 1 or value.is_graph_output():
        value = _initializer(graph, f"{value.name if value is not None else constant.node.name}_scaled", scaled)
        constant.node.replace_input_with(constant.index, value)
    value.const_value, value.shape = ir.Tensor(scaled, name=value.name), ir.Shape(scaled.shape)


def _initializer(graph: ir.Graph, base: str, array: NDArray[Any]) -> ir.Value:
    """Returns a new float initializer, of a name that is free."""
    import onnx_ir as ir

    taken = graph.initializers
    name = next(n for n in (base, *(f"{base}_{i}" for i in range(len(taken) + 1))) if n not in taken)
    value = ir.Value(name=name, type=ir.TensorType(ir.DataType.FLOAT), const_value=ir.Tensor(array, name=name))
    graph.register_initializer(value)
    return value


def _of_product(node: ir.Node, axis: int) -> tuple[Constant, ...] | None:
    weight = node.inputs[1] if len(node.inputs) > 1 else None
    if weight is None or not _is_float(weight):
        return None
    rank = len(weight.shape or ())
    if node.op_type in _MATRIX_PRODUCTS:
        if axis != -1 or rank != _MATRIX:
            return None
        transposed = node.attributes.get_int("transB", 0)
        found = [Constant(node, 1, -2 if transposed else -1)]
    else:
        if axis != 1 - rank or (node.op_type == "ConvTranspose" and node.attributes.get_int("group", 1) != 1):
            return None
        found = [Constant(node, 1, -rank if node.op_type == "Conv" else 1 - rank)]
    return _with_bias(found, node, 2)


def _of_norm(node: ir.Node, axis: int) -> tuple[Constant, ...] | None:
    if axis != -1 or node.attributes.get_int("axis", -1) != -1:
        return None
    scale, *bias = _NORMS[node.op_type]
    weight = node.inputs[scale]
    if weight is None or not _is_float(weight):
        return None
    return _with_bias([Constant(node, scale, -1)], node, *bias)


def _with_bias(found: list[Constant], node: ir.Node, *indices: int) -> tuple[Constant, ...] | None:
    for index in indices:
        bias = node.inputs[index] if len(node.inputs) > index else None
        if bias is not None and not _is_float(bias):
            return None
        if bias is not None:
            found.append(Constant(node, index, -1))
    return tuple(found)


def _of_sum_or_scale(node: ir.Node, axis: int, hops: int) -> tuple[Constant, ...] | None:
    constant = next((i for i, value in enumerate(node.inputs) if value is not None and _is_float(value)), None)
    if constant is None:
        # A product of two activations is scaled by scaling either.
        found = (_alone(value, axis, hops) for value in node.inputs) if node.op_type == "Mul" else ()
        return next((constants for constants in found if constants is not None), None)
    other = node.inputs[1 - constant]
    if other is None or not _spans(node, constant, axis):
        return None
    own = Constant(node, constant, axis)
    if node.op_type == "Mul":
        return (own,)
    behind = _alone(other, axis, hops)
    return None if behind is None else (*behind, own)


def _spans(node: ir.Node, constant: int, axis: int) -> bool:
    """Whether the constant leaves the shape of the other side alone: then scaling it per channel does so, too."""
    side, other, result = node.inputs[constant], node.inputs[1 - constant], node.outputs[0]
    shapes = [value.shape for value in (side, other, result) if value is not None and value.shape is not None]
    if len(shapes) != 3:  # noqa: PLR2004  # all three are known
        return False
    small, large, whole = shapes
    known = -axis <= len(large) and isinstance(large[axis], int)
    return known and len(small) <= len(large) and large[axis] == whole[axis]


def _alone(value: ir.Value | None, axis: int, hops: int) -> tuple[Constant, ...] | None:
    """What scales `value` if one node reads it, else None."""
    return producers(value, axis, hops - 1) if value is not None and len(value.uses()) == 1 else None


def _behind_flattening(node: ir.Node, axis: int, hops: int) -> tuple[Constant, ...] | None:
    """Behind [n, c, h, w] → [n, c·h·w], channel c owns h·w neighbouring columns."""
    shape, result = node.inputs[0].shape if node.inputs[0] is not None else None, node.outputs[0]
    if shape is None or result.shape is None or len(shape) != 1 - axis or len(result.shape) != _MATRIX:
        return None
    channels, columns = shape[1], result.shape[1]
    if not (isinstance(channels, int) and isinstance(columns, int)) or columns % channels:
        return None
    flat = node.op_type == "Flatten" and node.attributes.get_int("axis", 1) == 1
    flat |= node.op_type == "Reshape" and _size_of_rest(shape) == columns
    if not flat:
        return None
    found = consumers(result, -1, hops)
    return None if found is None else tuple(_repeated(each, columns // channels) for each in found)


def _size_of_rest(shape: ir.Shape) -> int:
    sizes = [size for size in shape[1:] if isinstance(size, int)]
    product = 1
    for size in sizes:
        product *= size
    return product if len(sizes) == len(shape) - 1 else 0


def _repeated(constant: Constant, times: int) -> Constant:
    return Constant(constant.node, constant.index, constant.axis, constant.repeat * times)


def _transparent(node: ir.Node, axis: int) -> int | None:
    """Returns the input whose channels' scales the result has, if the node leaves them alone."""
    if node.op_type in _HOMOGENEOUS or _is_rectifier(node) or (axis == -1 and reshapes_only(node)):
        return 0
    if node.op_type == "MultiHeadAttention" and axis == -1 and all(bias is None for bias in node.inputs[3:4]):
        return 2  # mixes the values of positions, never of channels
    return None


def _mean_axes(node: ir.Node) -> dict[int, int]:
    """Returns the axes that a mean keeps, from the right: before → after; empty if they are unknown."""
    shape, given = node.inputs[0].shape if node.inputs[0] is not None else None, [*node.inputs[1:], None][0]
    axes = node.attributes.get_ints("axes", ())
    if given is not None:
        axes = () if given.const_value is None else given.const_value.numpy().tolist()
    if shape is None or not axes:
        return {}
    rank = len(shape)
    gone = {axis % rank for axis in axes}
    kept = [axis for axis in range(rank) if axis not in gone]
    if node.attributes.get_int("keepdims", 1):
        return {axis - rank: axis - rank for axis in kept}
    return {axis - rank: place - len(kept) for place, axis in enumerate(kept)}


def _is_rectifier(node: ir.Node) -> bool:
    """Whether a Clip only cuts at zero."""
    if node.op_type != "Clip":
        return False
    low, high = [*node.inputs[1:], None, None][:2]
    return high is None and low is not None and low.const_value is not None and not low.const_value.numpy().any()


def _is_float(value: ir.Value) -> bool:
    return value.const_value is not None and value.const_value.dtype.name == "FLOAT"
