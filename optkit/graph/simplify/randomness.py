"""Which nodes give another result each time: they are never merged or computed ahead."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optkit.graph.simplify.constants import array
from optkit.graph.walk import STANDARD

if TYPE_CHECKING:
    import onnx_ir as ir

_RANDOM = frozenset(
    {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
)
_MODE = 2
"""Input of Dropout that says whether it drops anything."""


def is_random(node: ir.Node) -> bool:
    """Returns whether a node draws random numbers, or may do so; operators that are not ONNX's own are not known."""
    if node.domain not in STANDARD:
        return node.op_type not in _KNOWN
    return node.op_type in _RANDOM or (node.op_type == "Dropout" and is_training(node))


def is_training(node: ir.Node) -> bool:
    """Returns whether a Dropout or BatchNormalization may compute as in training."""
    if node.op_type == "BatchNormalization":  # before operator set 14, further outputs meant training
        return node.attributes.get_int("training_mode", 0) == 1 or sum(bool(value.name) for value in node.outputs) > 1
    if node.attributes.get_int("is_test", 1) == 0:
        return True
    if len(node.inputs) <= _MODE or node.inputs[_MODE] is None:
        return False
    mode = array(node.inputs[_MODE])
    return mode is None or bool(mode.any())


# ONNX Runtime's own operators that compute one result from their inputs; all of them but the random ones.
_KNOWN = frozenset(
    {
        "Attention", "BiasGelu", "DynamicQuantizeMatMul", "FastGelu", "FusedConv", "FusedGemm", "FusedMatMul", "Gelu",
        "GroupQueryAttention", "LayerNormalization", "MatMulNBits", "MultiHeadAttention", "QuickGelu",
        "RotaryEmbedding", "SimplifiedLayerNormalization", "SkipLayerNormalization", "SkipSimplifiedLayerNormalization",
    }
)  # fmt: skip
