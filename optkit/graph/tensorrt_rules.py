"""Which nodes TensorRT's ONNX parser refuses, or reads as something else: rules for machines without the library."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from optkit.graph.clean import SOURCE
from optkit.graph.walk import STANDARD, nodes

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx_ir as ir

UNSUPPORTED = frozenset(
    {
        "AffineGrid", "Bernoulli", "BitCast", "BitShift", "BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor",
        "CenterCropPad", "Col2Im", "Compress", "ConcatFromSequence", "ConvInteger", "CumProd", "DFT", "DeformConv",
        "Det", "DynamicQuantizeLinear", "ImageDecoder", "MatMulInteger", "MaxRoiPool", "MaxUnpool", "MelWeightMatrix",
        "Multinomial", "NegativeLogLikelihoodLoss", "Optional", "OptionalGetElement", "OptionalHasElement",
        "QLinearConv", "QLinearMatMul", "RegexFullMatch", "SequenceAt", "SequenceConstruct", "SequenceEmpty",
        "SequenceErase", "SequenceInsert", "SequenceLength", "SequenceMap", "SoftmaxCrossEntropyLoss",
        "SplitToSequence", "StringConcat", "StringNormalizer", "StringSplit", "SwiGLU", "TfIdfVectorizer", "Unique",
    }
)  # fmt: skip
"""Operators of ONNX itself that the parser of TensorRT-RTX 1.7 does not import; its tests ask it."""
CONTRIB = frozenset({"Gelu", "GroupQueryAttention", "MatMulNBits", "RotaryEmbedding"})
"""Operators of ONNX Runtime that it imports; it looks at an operator's name only, not at its domain."""
TYPES = frozenset(
    {
        "BFLOAT16", "BOOL", "DOUBLE", "FLOAT", "FLOAT16", "FLOAT4E2M1", "FLOAT8E4M3FN",
        "INT32", "INT4", "INT64", "INT8", "UINT8",
    }
)  # fmt: skip
_UINT8_TAKERS = frozenset({"Cast", "DequantizeLinear", "Equal", "Identity", "QuantizeLinear"})
_INTEGER_OPERATORS = frozenset(
    {"ConvInteger", "DynamicQuantizeLinear", "MatMulInteger", "QLinearConv", "QLinearMatMul"}
)

REQUANTIZE = "quantize with `target: tensorrt`: int8, zero point 0, float biases"
REPLACE = "write it in the model with operators that TensorRT has, or leave it out of the graph"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A node that keeps a graph from becoming an engine.

    Attributes:
        node: Its name; that of an input or weight where no node is at fault.
        operator: Its operator, with the domain where that is not ONNX's own.
        source: The line of the model's code that it comes from, or nothing.
        reason: What is wrong.
        advice: What to do.
        silent: The parser takes it, and the engine would compute something else.
    """

    node: str
    operator: str
    source: str
    reason: str
    advice: str
    silent: bool = False


def refusals(model: ir.Model) -> list[Refusal]:
    """Returns every node that the parser would refuse or misread, at most one reason for each."""
    found = [*_ends(model)]
    for node in nodes(model):
        verdict = _operator(node, model) or _quantization(node) or _types(node)
        if verdict:
            reason, advice, silent = verdict
            found.append(refusal(node, reason, advice, silent=silent))
    return found


def refusal(node: ir.Node, reason: str, advice: str, *, silent: bool = False) -> Refusal:
    """Returns what is wrong with `node`, in the terms of a person who wrote the model."""
    operator = f"{node.domain}::{node.op_type}" if node.domain else node.op_type
    return Refusal(node.name or "", operator, source_of(node), reason, advice, silent)


def source_of(node: ir.Node) -> str:
    """Returns the line of the model's code that a node comes from; for one that a pass put in, that of a neighbour."""
    readers = [use.node for value in node.outputs for use in value.uses()]
    makers = [producer for value in node.inputs if value is not None and (producer := value.producer()) is not None]
    near = [node, *readers, *makers, *(use.node for each in readers for v in each.outputs for use in v.uses())]
    return next((line for each in near if (line := each.metadata_props.get(SOURCE))), "")


Verdict = tuple[str, str, bool] | None


def _operator(node: ir.Node, model: ir.Model) -> Verdict:
    if (node.domain, node.op_type, node.overload) in model.functions:
        return None
    if node.domain in STANDARD:
        advice = REQUANTIZE if node.op_type in _INTEGER_OPERATORS else REPLACE
        return ("the parser has no such operator", advice, False) if node.op_type in UNSUPPORTED else None
    if node.op_type in CONTRIB:
        return None
    advice = "make the graph for `target: tensorrt`, so that fuse and quantize keep to ONNX's own operators"
    if node.op_type in {"QuantizeLinear", "DequantizeLinear"}:
        return None
    known = {"Attention", "MultiHeadAttention", "SkipSimplifiedLayerNormalization"}
    if node.op_type in known:
        return "the parser would read it as another operator of that name", advice, True
    return f"an operator of the domain {node.domain}, which only ONNX Runtime has", advice, False


def _quantization(node: ir.Node) -> Verdict:
    if node.op_type not in {"QuantizeLinear", "DequantizeLinear"}:
        return None
    stored = _type(node.inputs[0] if node.op_type == "DequantizeLinear" else node.outputs[0])
    zero = node.inputs[2] if len(node.inputs) > 2 else None  # noqa: PLR2004  # input, scale, zero point
    if zero is None and node.op_type == "QuantizeLinear" and not node.attributes.get_int("output_dtype", 0):
        stored = "UINT8"  # ONNX's default
    if zero is not None:
        stored = _type(zero) or stored
        if not _is_zero(zero):
            return "its zero point is not 0", REQUANTIZE, False
    if stored == "UINT8":
        return "uint8 is read as int8, so that values above 127 would be cut off", REQUANTIZE, True
    if stored == "INT32":
        return "an int32 tensor (a bias) cannot be dequantized", REQUANTIZE, False
    return None


def _is_zero(value: ir.Value) -> bool:
    tensor = value.const_value
    return tensor is not None and not tensor.numpy().any()


def _types(node: ir.Node) -> Verdict:
    for value in (*node.inputs, *node.outputs):
        name = _type(value)
        if name and name not in TYPES:
            return f"there is no type {name.lower()}", "cast to int32 or float32 in the model", False
    takes = [value for value in node.inputs if _type(value) == "UINT8"]
    if takes and node.op_type not in _UINT8_TAKERS:
        return "it does not compute with uint8", "cast to float32 or int32 first", False
    return None


def _ends(model: ir.Model) -> Iterator[Refusal]:
    for kind, values in (("input", model.graph.inputs), ("output", model.graph.outputs)):
        for value in values:
            if _type(value) == "DOUBLE":
                reason = "float64 becomes float32, so that the engine takes another type than the model"
                yield Refusal(str(value.name), kind, "", reason, "declare it as float32", silent=True)


def _type(value: ir.Value | None) -> str:
    return value.dtype.name if value is not None and value.dtype is not None else ""
