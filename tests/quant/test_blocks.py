from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from optkit.quant.blocks import Blocks, Form, dequantize, pack_nibbles, quantize, unpack_nibbles

FORMS = st.builds(Form, st.sampled_from([4, 8]), st.sampled_from([32, 64]), st.booleans())
MATRICES = arrays.arrays(
    np.float32,
    st.tuples(st.integers(1, 140), st.integers(1, 5)),
    elements=st.floats(-1e4, 1e4, width=32, allow_subnormal=False),
)


def errors(weight: np.ndarray, blocks: Blocks) -> np.ndarray:
    gap: np.ndarray = np.abs(dequantize(blocks).astype(np.float64) - weight)
    return gap


@given(MATRICES, FORMS)
def test_rounding_is_off_by_at_most_half_a_scale(weight: np.ndarray, form: Form) -> None:
    blocks = quantize(weight, form, clip=False)
    scales = np.repeat(blocks.scales, form.block, axis=0)[: len(weight)]
    # A zero point is rounded too: it moves the block by up to half a scale, and one end may clip by as much.
    limit = 0.5 if form.symmetric else 1.0
    assert (errors(weight, blocks) <= limit * scales * (1 + 1e-5) + 2.0**-99).all()
    assert blocks.codes.shape == weight.shape
    assert blocks.scales.shape == blocks.zeros.shape == (-(-len(weight) // form.block), weight.shape[1])
    assert (blocks.scales > 0).all()
    assert blocks.codes.max() <= form.top


@given(MATRICES, FORMS)
def test_clipping_never_adds_to_the_error(weight: np.ndarray, form: Form) -> None:
    plain, clipped = (float((errors(weight, quantize(weight, form, clip=clip)) ** 2).sum()) for clip in (False, True))
    assert clipped <= plain * (1 + 1e-5) + 1e-30


@given(MATRICES, FORMS)
def test_zero_stays_zero(weight: np.ndarray, form: Form) -> None:
    weight[::3] = 0
    assert (dequantize(quantize(weight, form))[::3] == 0).all()


@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 33)), elements=st.integers(0, 15)))
def test_packing_comes_back(codes: np.ndarray) -> None:
    packed = pack_nibbles(codes)
    assert packed.shape == (codes.shape[0], -(-codes.shape[1] // 2))
    np.testing.assert_array_equal(unpack_nibbles(packed, codes.shape[1]), codes)


def test_the_first_code_is_in_the_low_half() -> None:
    assert pack_nibbles(np.array([[1, 2, 3]], np.uint8)).tolist() == [[0x21, 0x03]]


@pytest.mark.parametrize("symmetric", [True, False])
def test_dead_and_constant_blocks(symmetric: bool) -> None:  # noqa: FBT001  # parametrized
    weight = np.zeros((96, 2), np.float32)
    weight[32:64] = 3.5
    values = dequantize(quantize(weight, Form(4, 32, symmetric)))
    np.testing.assert_allclose(values, weight, rtol=1e-6)


def test_one_sided_values_gain_from_a_zero_point() -> None:
    weight = np.random.default_rng(0).random((128, 8)).astype(np.float32) + 0.2
    both = [float((errors(weight, quantize(weight, Form(4, 32, symmetric))) ** 2).sum()) for symmetric in (True, False)]
    assert both[1] < 0.5 * both[0]


def test_columns_are_independent_of_how_many_are_done_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    weight = np.random.default_rng(0).standard_normal((70, 9)).astype(np.float32)
    whole = quantize(weight, Form(4, 32, symmetric=True))
    monkeypatch.setattr("optkit.quant.blocks._CHUNK", 140)
    parts = quantize(weight, Form(4, 32, symmetric=True))
    np.testing.assert_array_equal(whole.codes, parts.codes)
    np.testing.assert_array_equal(whole.scales, parts.scales)


def test_more_bits_and_smaller_blocks_are_closer() -> None:
    weight = np.random.default_rng(0).standard_normal((256, 16)).astype(np.float32)
    sizes = [(8, 32), (4, 32), (4, 128)]
    noise = [
        float((errors(weight, quantize(weight, Form(bits, block, symmetric=True))) ** 2).sum()) for bits, block in sizes
    ]
    assert noise[0] < 0.01 * noise[1] < noise[1] < noise[2]
