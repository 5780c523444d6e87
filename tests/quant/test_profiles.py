from __future__ import annotations

import pytest

from optkit.core.errors import UsageError
from optkit.quant.profiles import PROFILES, needs_reduced_range, profile_named


@pytest.mark.parametrize(
    ("flags", "reduced"),
    [
        ({"avx2"}, True),
        ({"avx2", "avx512f"}, True),
        ({"avx2", "avx512f", "avx512_vnni"}, False),
        ({"avx2", "avx_vnni"}, False),
        ({"neon", "asimd"}, False),
    ],
)
def test_range_is_reduced_where_products_saturate(flags: set[str], *, reduced: bool) -> None:
    assert needs_reduced_range(PROFILES["onnxruntime-cpu"], frozenset(flags)) is reduced


def test_tensorrt_never_reduces() -> None:
    assert not needs_reduced_range(PROFILES["tensorrt"], frozenset({"avx2"}))


@pytest.mark.parametrize("target", ["tensorrt", "tensorrt-rtx"])
def test_tensorrt_gets_what_its_parser_takes(target: str) -> None:
    profile = profile_named(target)
    assert profile.signed_activations
    assert not profile.quantize_bias


def test_unknown_target_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match="onnxruntime-cpu, openvino-cpu, tensorrt"):
        profile_named("abacus")
