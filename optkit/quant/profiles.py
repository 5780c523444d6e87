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
        float_outputs: Operators whose result stays float: the kernel accumulates in int32 and writes float.
        quantize_bias: Whether biases become int32 with a DequantizeLinear.
        saturates: Whether 8-bit products may overflow 16-bit sums on a CPU without VNNI.
        min_channels: Convolutions and matrices thinner than this stay float.
    """

    signed_activations: bool
    weighted: frozenset[str]
    follow: frozenset[str]
    float_outputs: frozenset[str]
    quantize_bias: bool
    saturates: bool = False
    min_channels: int = 1


_WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
_TENSORRT = Profile(
    signed_activations=True,
    weighted=_WEIGHTED,
    follow=frozenset(),
    float_outputs=_WEIGHTED,
    quantize_bias=False,
    min_channels=16,
)

PROFILES: Mapping[str, Profile] = {
    "onnxruntime-cpu": Profile(
        signed_activations=False,
        weighted=_WEIGHTED - {"ConvTranspose"},  # it has no int8 kernel
        follow=frozenset(
            {
                "Add", "AveragePool", "Clip", "Concat", "Flatten", "GlobalAveragePool", "LeakyRelu", "MaxPool", "Mul",
                "Pad", "Relu", "Reshape", "Resize", "Sigmoid", "Split", "Squeeze", "Transpose", "Unsqueeze",
            }
        ),
        float_outputs=frozenset({"Gemm", "MatMul"}),
        quantize_bias=True,
        saturates=True,
    ),
    "tensorrt": _TENSORRT,
    "tensorrt-rtx": _TENSORRT,
}  # fmt: skip


def profile_named(target: str) -> Profile:
    """Returns the profile of `target`.

    Raises:
        UsageError: The target has none.
    """
    if target not in PROFILES:
        raise UsageError(f"no int8 profile for the target {target!r}", hint=f"known: {', '.join(sorted(PROFILES))}")
    return PROFILES[target]


def needs_reduced_range(profile: Profile, flags: frozenset[str]) -> bool:
    """Returns whether weights must keep to 7 bits: `vpmaddubsw` saturates where there is no VNNI."""
    has_vnni = bool(flags & {"avx512_vnni", "avx512vnni", "avx_vnni", "avxvnni", "amx_int8"})
    return profile.saturates and bool(flags & {"avx2", "avx512f"}) and not has_vnni
