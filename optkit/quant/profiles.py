"""What each target wants of an int8 graph, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from optkit.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Profile:
    """How a target wants numbers and Q/DQ pairs.

    Attributes:
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
        min_channels: Convolutions and matrices thinner than this stay float.
    """

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

_TENSORRT = Profile(
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
    "onnxruntime-cpu": Profile(
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
    "openvino-cpu": Profile(
        signed_activations=False,
        weighted=_WEIGHTED,
        follow=_POOLS | _SCALE_KEEPERS | {"Add", "Concat", "Mul"},
        through=_CLAMPS | _SMOOTH,
        float_outputs=_WEIGHTED | _POOLS | _SCALE_KEEPERS | {"Add", "Concat", "Mul"},
        quantize_bias=False,
        one_concat_scale=True,
        quantize_tables=True,
        saturates=True,
    ),
    "tensorrt": _TENSORRT,
    "tensorrt-rtx": _TENSORRT,
}


def profile_named(target: str) -> Profile:
    """Returns the profile of `target`.

    Raises:
        UsageError: The target has none.
    """
    if target not in PROFILES:
        raise UsageError(f"no int8 profile for the target {target!r}", hint=f"known: {', '.join(sorted(PROFILES))}")
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
