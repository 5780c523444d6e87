"""Multiply-accumulates and floating-point operations of one node.

MACs are counted for products: convolutions, matrix products, attention, recurrent cells and Einsum of two operands; a
bias, a scale or an activation adds none. FLOPs are two per MAC, and for other operators as `_PER_ELEMENT` says.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from optkit.graph.contrib_shapes import integer, matrix
from optkit.graph.known import UNKNOWN, Known

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import onnx_ir as ir

    Attributes = Mapping[str, ir.Attr]


class Uncounted(Exception):
    """Says why a node's cost is not known."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a node, or a graph, computes."""

    macs: int = 0
    flops: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.macs + other.macs, self.flops + other.flops)

    def times(self, count: int) -> Cost:
        """Returns the cost of running it so often."""
        return Cost(self.macs * count, self.flops * count)


@dataclass(frozen=True, slots=True)
class Site:
    """A node with what is known of its tensors."""

    operator: str
    attributes: Attributes
    inputs: Sequence[Known | None]
    outputs: Sequence[Known]

    def input(self, index: int) -> Known:
        """Returns an input; nothing is known of one that is absent."""
        return (self.inputs[index] if index < len(self.inputs) else None) or UNKNOWN

    def integer(self, name: str, default: int = 0) -> int:
        """Returns an integer attribute."""
        return integer(self.attributes, name, default)


def node_cost(site: Site) -> Cost:
    """Returns the cost of a node without a body.

    Raises:
        Uncounted: A shape that it takes is unknown, or the operator is.
    """
    if site.operator in _MACS:
        macs = _MACS[site.operator](site)
        return Cost(macs, 2 * macs)
    return Cost(0, _plain_flops(site, site.operator.removeprefix("QLinear")))


def _plain_flops(site: Site, operator: str) -> int:
    if operator in _FREE:
        return 0
    if operator in _PER_ELEMENT:
        return _PER_ELEMENT[operator] * _elements(_largest(site))
    if operator in _PER_INPUT:
        return _elements(site.input(0))
    if operator not in _OTHER:
        raise Uncounted("no rule for this operator")
    return _OTHER[operator](site)


def _elements(tensor: Known) -> int:
    if tensor.elements is None:
        raise Uncounted("a shape is unknown")
    return tensor.elements


def _size(size: int | None) -> int:
    if size is None:
        raise Uncounted("a shape is unknown")
    return size


def _largest(site: Site) -> Known:
    """An operator that normalises, or splits a sum off, returns others beside its first output."""
    return site.outputs[0] if site.outputs[0].elements is not None else site.input(0)


def _convolution(weight: int) -> Callable[[Site], int]:
    def macs(site: Site) -> int:
        shape = site.input(weight).shape
        if shape is None:
            raise Uncounted("the weight's shape is unknown")
        return _elements(site.outputs[0]) * math.prod(map(_size, shape[1:]))

    return macs


def _transposed(site: Site) -> int:
    """Each element of the input meets the kernels of every output channel of its group."""
    shape = site.input(1).shape
    if shape is None:
        raise Uncounted("the weight's shape is unknown")
    return _elements(site.input(0)) * math.prod(map(_size, shape[1:]))


def _product(site: Site) -> int:
    return _elements(site.outputs[0]) * _size(site.input(0).axis(-1))


def _turned(site: Site) -> int:
    """Gemm, QGemm and FusedMatMul may transpose their first operand."""
    turned = matrix(
        site.input(0),
        transposed=bool(site.integer("transA")),
        batches_moved=bool(site.integer("transBatchA")),
    )
    return _elements(site.outputs[0]) * _size(turned[-1] if turned else None)


def _einsum(site: Site) -> int:
    equation = site.attributes["equation"].as_string().replace(" ", "")
    operands = equation.partition("->")[0].split(",")
    if len(operands) == 1:
        return 0
    if len(operands) > 2:  # noqa: PLR2004
        raise Uncounted("the order of its products is the runtime's choice")
    sizes: dict[str, int] = {}
    for index, labels in enumerate(operands):
        for label, size in zip(_labels(labels, site.input(index)), site.input(index).shape or (), strict=True):
            sizes[label] = max(_size(size), sizes.get(label, 1))
    return math.prod(sizes.values())


def _labels(labels: str, operand: Known) -> list[str]:
    """Returns a label per axis; those behind an ellipsis are numbered from the right."""
    if operand.shape is None:
        raise Uncounted("a shape is unknown")
    before, dots, after = labels.partition("...")
    hidden = len(operand.shape) - len(before) - len(after)
    if hidden < 0 or (hidden and not dots):
        raise Uncounted("its equation does not fit its inputs")
    return [*before, *(f"...{hidden - index}" for index in range(hidden)), *after]


def _recurrent(gates: int) -> Callable[[Site], int]:
    """Each step multiplies the input and the state by the weights of every gate."""

    def macs(site: Site) -> int:
        hidden = site.integer("hidden_size") or _size(site.input(2).axis(-1))
        directions = _size(site.input(1).axis(0))
        steps, samples, width = (_size(site.input(0).axis(index)) for index in range(3))
        return steps * samples * directions * gates * hidden * (width + hidden)

    return macs


def _scores(batch: int, heads: int, length: int, total: int, widths: int) -> int:
    """The scores of queries against keys, and their product with the values; `widths` are both heads' sizes."""
    return batch * heads * length * total * widths


def _standard_attention(site: Site) -> int:
    query, key, value, past = (site.input(index) for index in (0, 1, 2, 4))
    if query.shape is not None and len(query.shape) == 4:  # noqa: PLR2004  # (batch, heads, length, size)
        batch, heads, length, size = map(_size, query.shape)
        keys, width = _size(key.axis(2)), _size(value.axis(3))
    else:
        heads, groups = site.integer("q_num_heads"), site.integer("kv_num_heads")
        if not heads or not groups:
            raise Uncounted("its heads are unknown")
        batch, length, size = _size(query.axis(0)), _size(query.axis(1)), _size(query.axis(2)) // heads
        keys, width = _size(key.axis(1)), _size(value.axis(2)) // groups
    return _scores(batch, heads, length, keys + (past.axis(2) or 0), size + width)


def _fused_attention(site: Site) -> int:
    """ONNX Runtime's Attention: one product makes queries, keys and values, then they attend."""
    data, weight = site.input(0), site.input(1)
    batch, length = _size(data.axis(0)), _size(data.axis(1))
    sizes = site.attributes["qkv_hidden_sizes"].as_ints() if "qkv_hidden_sizes" in site.attributes else None
    query, _, values = sizes or [_size(weight.axis(1)) // 3] * 3
    if len(site.inputs) > 4 and site.inputs[4] is not None:  # noqa: PLR2004
        raise Uncounted("its past is not followed")
    return batch * length * _size(weight.axis(0)) * _size(weight.axis(1)) + batch * length * length * (query + values)


def _attention(site: Site) -> int:
    """MultiHeadAttention and GroupQueryAttention, packed or not, with or without a past."""
    query, key, value = (site.input(index) for index in range(3))
    out = site.outputs[0]
    batch, length, width = _size(query.axis(0)), _size(query.axis(1)), _size(out.axis(2))
    past = site.input(3 if site.operator == "GroupQueryAttention" else 6)
    if key.shape is None:
        keys = length
    elif len(key.shape) == 4:  # noqa: PLR2004  # (batch, heads, length, size)
        keys = _size(key.axis(2))
    else:
        keys = _size(key.axis(1))
    queries = _size(query.axis(2)) if value.shape is not None else width
    # Every head of size s costs s per score: together the heads are as wide as the queries, and as the result.
    return batch * length * (keys + (past.axis(2) or 0)) * (queries + width)


_MACS: dict[str, Callable[[Site], int]] = {
    "Conv": _convolution(1),
    "ConvInteger": _convolution(1),
    "DeformConv": _convolution(1),
    "FusedConv": _convolution(1),
    "QLinearConv": _convolution(3),
    "ConvTranspose": _transposed,
    "MatMul": _product,
    "MatMulInteger": _product,
    "MatMulIntegerToFloat": _product,
    "DynamicQuantizeMatMul": _product,
    "QLinearMatMul": _product,
    "MatMulBnb4": _product,
    "MatMulNBits": _product,
    "FusedMatMul": _turned,
    "Gemm": _turned,
    "QGemm": _turned,
    "Einsum": _einsum,
    "RNN": _recurrent(1),
    "GRU": _recurrent(3),
    "LSTM": _recurrent(4),
    "DynamicQuantizeLSTM": _recurrent(4),
    "Attention": _standard_attention,
    "com.microsoft::Attention": _fused_attention,
    "QAttention": _fused_attention,
    "GroupQueryAttention": _attention,
    "MultiHeadAttention": _attention,
}


def _pool(site: Site) -> int:
    return math.prod(site.attributes["kernel_shape"].as_ints()) * _elements(site.outputs[0])


def _local_response(site: Site) -> int:
    """Squares, a sum over the window, a power and a quotient."""
    return (site.integer("size") + 3) * _elements(site.outputs[0])


def _resize(site: Site) -> int:
    """Nearest moves data; linear weighs 2 neighbours per axis that changes, cubic 4: a product and a sum for each."""
    mode = site.attributes["mode"].as_string() if "mode" in site.attributes else "nearest"
    before, after = site.input(0).shape, site.outputs[0].shape
    if mode == "nearest":
        return 0
    if before is None or after is None:
        raise Uncounted("a shape is unknown")
    changed = sum(a != b for a, b in zip(before, after, strict=True))
    return _elements(site.outputs[0]) * (2 * (4 if mode == "cubic" else 2) ** changed if changed else 0)


_FREE = frozenset(
    {
        # They move, convert or make data.
        "AffineGrid", "Bernoulli", "Cast", "CastLike", "CenterCropPad", "Col2Im", "Compress", "Concat",
        "ConcatFromSequence", "Constant", "ConstantOfShape", "DepthToSpace", "DequantizeLinear", "Dropout",
        "DynamicQuantizeLinear", "Expand", "EyeLike", "Flatten", "Gather", "GatherBlockQuantized", "GatherElements",
        "GatherND", "Identity", "NonZero", "OneHot", "Optional", "OptionalGetElement", "OptionalHasElement", "Pad",
        "QuantizeLinear", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Range",
        "Reshape", "ReverseSequence", "ScatterElements", "ScatterND", "Scatter", "SequenceAt", "SequenceConstruct",
        "SequenceEmpty", "SequenceErase", "SequenceInsert", "SequenceLength", "Shape", "Size", "Slice",
        "SpaceToDepth", "Split", "SplitToSequence", "Squeeze", "TensorScatter", "Tile", "Transpose", "Trilu",
        "Unsqueeze", "Upsample",
    }
)  # fmt: skip
_ONCE = (
    "Abs", "Acos", "Acosh", "Add", "And", "Asin", "Asinh", "Atan", "Atanh", "BiasGelu", "BitShift", "BitwiseAnd",
    "BitwiseNot", "BitwiseOr", "BitwiseXor", "Ceil", "Celu", "Clip", "Cos", "Cosh", "CumSum", "Div", "Elu", "Equal",
    "Erf", "Exp", "FastGelu", "Floor", "Gelu", "Greater", "GreaterOrEqual", "HardSigmoid", "HardSwish", "IsInf",
    "IsNaN", "LeakyRelu", "Less", "LessOrEqual", "Log", "Max", "Mean", "Min", "Mish", "Mod", "Mul", "Neg", "Not",
    "Or", "PRelu", "Pow", "QuickGelu", "Reciprocal", "Relu", "Round", "Selu", "Shrink", "Sigmoid", "Sign", "Sin",
    "Sinh", "Softplus", "Softsign", "Sqrt", "Sub", "Sum", "Swish", "Tan", "Tanh", "ThresholdedRelu", "Where", "Xor",
)  # fmt: skip
_PER_ELEMENT = {
    **dict.fromkeys(_ONCE, 1),
    "BatchNormalization": 2,  # a scale and a shift
    "RotaryEmbedding": 3,  # two products and a sum
    "RMSNormalization": 4,  # square, sum, divide, scale
    "SimplifiedLayerNormalization": 4,
    "BiasSoftmax": 5,
    "Hardmax": 5,
    "LogSoftmax": 5,
    "Softmax": 5,  # maximum, subtract, exp, sum, divide
    "SkipSimplifiedLayerNormalization": 5,
    "EmbedLayerNormalization": 7,
    "GroupNorm": 7,
    "GroupNormalization": 7,
    "InstanceNormalization": 7,
    "LayerNormalization": 7,  # sum, subtract, square, sum, divide, scale, shift
    "MeanVarianceNormalization": 5,
    "LpNormalization": 3,
    "SkipLayerNormalization": 8,
}
"""Operator → operations per element of its result. An activation function counts once, however it is computed."""
_PER_INPUT = frozenset(
    {
        "ArgMax", "ArgMin", "GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool", "ReduceL1", "ReduceL2",
        "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum",
        "ReduceSumSquare",
    }
)  # fmt: skip
"""Reductions: one operation per element that they read."""
_OTHER: dict[str, Callable[[Site], int]] = {
    "AveragePool": _pool,
    "LRN": _local_response,
    "LpPool": _pool,
    "MaxPool": _pool,
    "Resize": _resize,
}
