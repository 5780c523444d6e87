"""Shapes of results of ONNX Runtime's own operators, for which ONNX has no schema."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optkit.graph import known
from optkit.graph.known import UNKNOWN, Known

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import onnx_ir as ir

    Attributes = Mapping[str, ir.Attr]
    Inputs = Sequence[Known | None]
    Rule = Callable[[Attributes, Inputs], list[Known]]

_FLOAT = 1


def contrib_outputs(node: ir.Node, attributes: Attributes, inputs: Inputs) -> tuple[Known, ...]:
    """Returns what is known of each output of an operator without a schema; nothing, if there is no rule for it."""
    rule = _RULES.get(node.op_type)
    found = rule(attributes, inputs) if rule is not None else []
    return tuple(found[index] if index < len(found) else UNKNOWN for index in range(len(node.outputs)))


def integer(attributes: Attributes, name: str, default: int = 0) -> int:
    """Returns an integer attribute."""
    return attributes[name].as_int() if name in attributes else default


def _at(inputs: Inputs, index: int) -> Known:
    return (inputs[index] if index < len(inputs) else None) or UNKNOWN


def _like_first(_: Attributes, inputs: Inputs) -> list[Known]:
    first = _at(inputs, 0)
    return [] if first.shape is None else [known.tensor(first.kind, first.shape)]


def _skip(attributes: Attributes, inputs: Inputs) -> list[Known]:
    """The sum of input and skip is the fourth output."""
    return [*_like_first(attributes, inputs), UNKNOWN, UNKNOWN, *_like_first(attributes, inputs)]


def _broadcast(first: Known, second: Known, kind: int) -> list[Known]:
    if first.shape is None or second.shape is None:
        return []
    rank = max(len(first.shape), len(second.shape))
    pairs = zip(*((1,) * (rank - len(each.shape or ())) + (each.shape or ()) for each in (first, second)), strict=True)
    return [known.tensor(kind, [b if a == 1 else a if b in {1, a} else None for a, b in pairs])]


def _elementwise(first: int, second: int) -> Rule:
    return lambda _, inputs: _broadcast(_at(inputs, first), _at(inputs, second), _at(inputs, 0).kind)


def matrix(tensor: Known, *, transposed: bool, batches_moved: bool = False) -> tuple[int | None, ...] | None:
    """Returns the shape of an operand of FusedMatMul as the product sees it."""
    shape = tensor.shape
    if shape is None or len(shape) < 2:  # noqa: PLR2004  # a vector has nothing to transpose
        return shape
    if batches_moved:
        shape = (*shape[1:-1], shape[0], shape[-1])
    return (*shape[:-2], shape[-1], shape[-2]) if transposed else shape


def _product(first: tuple[int | None, ...] | None, second: tuple[int | None, ...] | None, kind: int) -> list[Known]:
    if not first or not second:
        return []
    rows = first[-2:-1] if len(first) > 1 else ()
    columns = second[-1:] if len(second) > 1 else ()
    batches = _broadcast(known.tensor(kind, first[:-2]), known.tensor(kind, second[:-2]), kind)[0].shape or ()
    return [known.tensor(kind, (*batches, *rows, *columns))]


def _fused_matmul(attributes: Attributes, inputs: Inputs) -> list[Known]:
    first, second = (
        matrix(
            _at(inputs, index),
            transposed=bool(integer(attributes, f"trans{side}")),
            batches_moved=bool(integer(attributes, f"transBatch{side}")),
        )
        for index, side in enumerate("AB")
    )
    return _product(first, second, _at(inputs, 0).kind)


def _plain_matmul(kind: int) -> Rule:
    return lambda _, inputs: _product(_at(inputs, 0).shape, _at(inputs, 1).shape, kind)


def _packed_matmul(attributes: Attributes, inputs: Inputs) -> list[Known]:
    first = _at(inputs, 0)
    if first.shape is None or "N" not in attributes:
        return []
    return [known.tensor(first.kind, (*first.shape[:-1], attributes["N"].as_int()))]


def _gemm(attributes: Attributes, inputs: Inputs) -> list[Known]:
    first, second = (
        matrix(_at(inputs, index), transposed=bool(integer(attributes, name)))
        for index, name in ((0, "transA"), (3, "transB"))
    )
    return _product(first, second, _FLOAT)


def _fused_conv(attributes: Attributes, inputs: Inputs) -> list[Known]:
    from onnx import TypeProto, defs, helper, shape_inference

    data, weight = _at(inputs, 0), _at(inputs, 1)
    if not (data.type and weight.type):
        return []
    names = ("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides")
    options = {name: attributes[name].value for name in names if name in attributes}
    node = helper.make_node("Conv", ["x", "w"], ["y"], **options)
    types = {"x": TypeProto.FromString(data.type), "w": TypeProto.FromString(weight.type)}
    try:
        found = shape_inference.infer_node_outputs(defs.get_schema("Conv"), node, types)
    except (shape_inference.InferenceError, RuntimeError):
        return []
    return [known.of_type(found["y"])] if "y" in found else []


def _packed_attention(attributes: Attributes, inputs: Inputs) -> list[Known]:
    """Input (batch, length, width); the weights hold queries, keys and values side by side."""
    data, bias = _at(inputs, 0), _at(inputs, 2)
    if data.shape is None:
        return []
    sizes = attributes["qkv_hidden_sizes"].as_ints() if "qkv_hidden_sizes" in attributes else None
    width = bias.axis(0)
    values = sizes[2] if sizes else width // 3 if width is not None else None
    return [known.tensor(_FLOAT if data.kind != 10 else data.kind, (*data.shape[:2], values))]  # noqa: PLR2004  # float16


def _attention(attributes: Attributes, inputs: Inputs) -> list[Known]:
    """MultiHeadAttention and GroupQueryAttention: (batch, length, heads · size of a head); packed inputs hold more."""
    query, key, value = (_at(inputs, index) for index in range(3))
    if query.shape is None:
        return []
    if len(query.shape) == 5:  # noqa: PLR2004  # (batch, length, heads, 3, size)
        width = None if query.axis(2) is None or query.axis(4) is None else (query.axis(2) or 0) * (query.axis(4) or 0)
        return [known.tensor(query.kind, (*query.shape[:2], width))]
    heads = integer(attributes, "num_heads")
    groups = integer(attributes, "kv_num_heads")
    if groups and not key.type:  # queries, keys and values side by side
        width = query.axis(2)
        out = None if width is None else width * heads // (heads + 2 * groups)
        result = [known.tensor(query.kind, (*query.shape[:2], out))]
    elif groups:
        result = [known.tensor(query.kind, query.shape)]
    else:
        width = value.axis(2) if value.shape is not None and len(value.shape) == 3 else query.axis(2)  # noqa: PLR2004
        result = [known.tensor(query.kind, (*query.shape[:2], width))]
    return result + _presents(inputs, key, 3 if groups else 6)


def _presents(inputs: Inputs, key: Known, past: int) -> list[Known]:
    held, length = _at(inputs, past), key.axis(1)
    if held.shape is None or len(held.shape) != 4 or None in {length, held.shape[2]}:  # noqa: PLR2004
        return []
    shape = (*held.shape[:2], (held.shape[2] or 0) + (length or 0), held.shape[3])
    return [known.tensor(held.kind, shape)] * 2


def _embedding(_: Attributes, inputs: Inputs) -> list[Known]:
    ids, table = _at(inputs, 0), _at(inputs, 2)
    return [] if ids.shape is None else [known.tensor(table.kind, (*ids.shape, table.axis(-1)))]


_LIKE_FIRST = (
    "BiasGelu", "BiasSoftmax", "FastGelu", "Gelu", "GroupNorm", "QLinearLeakyRelu", "QLinearSigmoid", "QLinearSoftmax",
    "QuickGelu", "RotaryEmbedding", "SimplifiedLayerNormalization",
)  # fmt: skip
_RULES: dict[str, Rule] = {
    **dict.fromkeys(_LIKE_FIRST, _like_first),
    "Attention": _packed_attention,
    "DynamicQuantizeMatMul": _plain_matmul(_FLOAT),
    "EmbedLayerNormalization": _embedding,
    "FusedConv": _fused_conv,
    "FusedMatMul": _fused_matmul,
    "GroupQueryAttention": _attention,
    "MatMulBnb4": _packed_matmul,
    "MatMulIntegerToFloat": _plain_matmul(_FLOAT),
    "MatMulNBits": _packed_matmul,
    "MultiHeadAttention": _attention,
    "QAttention": _packed_attention,
    "QGemm": _gemm,
    "QLinearAdd": _elementwise(0, 3),
    "QLinearMul": _elementwise(0, 3),
    "SkipLayerNormalization": _skip,
    "SkipSimplifiedLayerNormalization": _skip,
}
