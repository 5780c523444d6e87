"""What each target wants of a graph, and of int8 in it, as data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from optkit.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Profile:
    """Which operator sets a target reads, and how it wants numbers and Q/DQ pairs.

    Attributes:
        opset: Operator set that models are exported in for it.
        newest_opset: The newest that it reads; None if it asks for single operators only.
        signed_activations: int8 with zero point 0; otherwise uint8 with any zero point.
        weighted: Operators with constant weights that run in int8.
        follow: Operators that stay in int8 between convolutions, so that nothing drops to float in an island.
        through: Operators that an island passes through without Q/DQ of their own.
        float_outputs: Operators whose result stays float, because the kernel accumulates in int32 and writes float, or
            because the runtime itself moves the Q of the next reader up to it.
        quantize_bias: Whether biases become int32 with a DequantizeLinear.
        one_add_input: Only the shortcut of a residual Add carries Q/DQ: the other side is fused with its convolution.
        one_concat_scale: All inputs of a Concat, and its output, share one scale.
        quantize_tables: Whether embeddings are stored in int8.
        requantizes: Whether the runtime turns a float convolution between int8 tensors back into int8, and badly: with
            one scale for all of its weight.
        saturates: Whether 8-bit products may overflow 16-bit sums on a CPU without VNNI.
        window_pairs: Whether the products that are summed start anew at each position of a convolution's window.
        min_channels: Convolutions and matrices thinner than this stay float.
    """

    opset: int
    newest_opset: int | None
    signed_activations: bool
    weighted: frozenset[str]
    follow: frozenset[str]
    through: frozenset[str]
    float_outputs: frozenset[str]
    quantize_bias: bool
    one_add_input: bool = False
    one_concat_scale: bool = False
    quantize_tables: bool = False
    requantizes: bool = False
    saturates: bool = False
    window_pairs: bool = False
    min_channels: int = 1


_WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
_CLAMPS = frozenset({"Clip", "Relu"})
_SCALE_KEEPERS = frozenset(
    {
        "DepthToSpace", "Expand", "Flatten", "Identity", "MaxPool", "Pad", "Reshape", "Resize", "Slice",
        "SpaceToDepth", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze",
    }
)  # fmt: skip
"""Operators whose results are values of their input (or zero), so that one scale serves both."""
_SMOOTH = frozenset({"HardSigmoid", "HardSwish", "LeakyRelu", "Sigmoid"})
_POOLS = frozenset({"AveragePool", "GlobalAveragePool"})

_OPSET = 20
"""The newest that every version of these targets reads: TensorRT 10.0 stops there. From 23 on, exporters write
attention as one operator, which no fusion recognises."""

# NVIDIA, "ONNX Opset Guide", TensorRT 11: operator sets 9 to 25; onnx-tensorrt, docs/operators.md at 10.0: 9 to 20.
_TENSORRT = Profile(
    opset=_OPSET,
    newest_opset=25,
    signed_activations=True,
    weighted=_WEIGHTED,
    follow=_POOLS | {"Add", "Concat"},
    through=_CLAMPS | _SCALE_KEEPERS | _SMOOTH | {"Mul"},
    float_outputs=_WEIGHTED | _POOLS | {"Add", "Concat"},
    quantize_bias=False,
    one_add_input=True,
    one_concat_scale=True,
    min_channels=16,
)

PROFILES: Mapping[str, Profile] = {
    # ONNX Runtime 1.31 refuses models above operator set 26; every release reads all from 7 on (docs/Versioning.md).
    "onnxruntime-cpu": Profile(
        opset=_OPSET,
        newest_opset=26,
        signed_activations=False,
        weighted=_WEIGHTED - {"ConvTranspose"},  # it has no int8 kernel
        follow=_POOLS | _SCALE_KEEPERS | {"Add", "Concat", "LeakyRelu", "Mul", "Sigmoid"},
        through=_CLAMPS,
        float_outputs=frozenset({"Gemm", "MatMul"}),
        quantize_bias=True,
        quantize_tables=True,
        requantizes=True,
        saturates=True,
    ),
    # OpenVINO, src/frontends/onnx/docs/supported_ops.md: a list of versions per operator, no limit on the whole.
    "openvino-cpu": Profile(
        opset=_OPSET,
        newest_opset=None,
        signed_activations=False,
        weighted=_WEIGHTED,
        follow=_POOLS | _SCALE_KEEPERS | {"Add", "Concat", "Mul"},
        through=_CLAMPS | _SMOOTH,
        float_outputs=_WEIGHTED | _POOLS | _SCALE_KEEPERS | {"Add", "Concat", "Mul"},
        quantize_bias=False,
        one_concat_scale=True,
        quantize_tables=True,
        saturates=True,
        window_pairs=True,
    ),
    "tensorrt": _TENSORRT,
    # NVIDIA, "ONNX Conversion and Deployment", TensorRT-RTX: operator sets 9 to 22.
    "tensorrt-rtx": replace(_TENSORRT, newest_opset=22),
}


def profile_named(target: str) -> Profile:
    """Returns the profile of `target`.

    Raises:
        UsageError: The target has none.
    """
    if target not in PROFILES:
        raise UsageError(f"no profile for the target {target!r}", hint=f"known: {', '.join(sorted(PROFILES))}")
    return PROFILES[target]


def keeps_scale(op_type: str) -> bool:
    """Returns whether the results of an operator are values of its first input, or zero."""
    return op_type in _SCALE_KEEPERS


def clamps(op_type: str) -> bool:
    """Returns whether an operator only cuts values off: the int8 kernel before it does so at no cost."""
    return op_type in _CLAMPS


def needs_reduced_range(profile: Profile, flags: frozenset[str]) -> bool:
    """Returns whether weights must keep to 7 bits: `vpmaddubsw` saturates where there is no VNNI."""
    has_vnni = bool(flags & {"avx512_vnni", "avx512vnni", "avx_vnni", "avxvnni", "amx_int8"})
    return profile.saturates and bool(flags & {"avx2", "avx512f"}) and not has_vnni
