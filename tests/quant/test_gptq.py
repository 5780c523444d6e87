from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optkit.quant.blocks import Form, dequantize, quantize
from optkit.quant.gptq import Hessian, gptq, product_error


def correlated(seed: int, rows: int, size: int, rank: int = 6) -> np.ndarray:
    """Returns inputs that lie near a subspace, as activations do."""
    random = np.random.default_rng(seed)
    spread = random.standard_normal((rank, size)) * np.exp(random.standard_normal(size))
    return (random.standard_normal((rows, rank)) @ spread + 0.1 * random.standard_normal((rows, size))).astype(
        np.float32
    )


def hessian_of(inputs: np.ndarray) -> np.ndarray:
    hessian = Hessian(inputs.shape[-1])
    hessian.add(inputs)
    return hessian.total


@given(st.integers(0, 1000), st.sampled_from([4, 8]), st.booleans(), st.integers(33, 100))
@settings(max_examples=25)
def test_never_worse_than_rounding(seed: int, bits: int, symmetric: bool, size: int) -> None:  # noqa: FBT001  # drawn
    inputs = correlated(seed, 200, size)
    weight = np.random.default_rng(seed + 1).standard_normal((size, 7)).astype(np.float32)
    form, hessian = Form(bits, 32, symmetric), hessian_of(inputs)
    plain, ours = (
        product_error(weight, made, hessian) for made in (quantize(weight, form), gptq(weight, hessian, form))
    )
    assert ours <= plain


@pytest.mark.parametrize("seed", range(4))
def test_much_better_than_rounding_on_correlated_inputs(seed: int) -> None:
    inputs, fresh = correlated(seed, 600, 128)[:400], correlated(seed, 600, 128)[400:]
    weight = np.random.default_rng(seed).standard_normal((128, 24)).astype(np.float32)
    form = Form(4, 32, symmetric=True)
    made = {"rtn": quantize(weight, form), "gptq": gptq(weight, hessian_of(inputs), form)}
    noise = {name: float(((fresh @ (dequantize(blocks) - weight)) ** 2).sum()) for name, blocks in made.items()}
    assert noise["gptq"] < 0.5 * noise["rtn"]


def test_independent_inputs_round_to_nearest() -> None:
    weight = np.random.default_rng(0).standard_normal((64, 8)).astype(np.float32)
    form = Form(4, 32, symmetric=True)
    ours, plain = gptq(weight, np.eye(64, dtype=np.float32), form), quantize(weight, form)
    np.testing.assert_array_equal(ours.codes, plain.codes)


def test_inputs_that_are_always_zero_keep_their_weights() -> None:
    inputs = correlated(0, 100, 64)
    inputs[:, 10:20] = 0
    weight = np.random.default_rng(0).standard_normal((64, 4)).astype(np.float32)
    blocks = gptq(weight, hessian_of(inputs), Form(8, 32, symmetric=True))
    assert np.abs(dequantize(blocks) - weight)[10:20].max() < 0.1


def test_the_hessian_does_not_depend_on_how_rows_arrive() -> None:
    inputs = correlated(0, 60, 40).reshape(4, 15, 40)
    whole, parts = Hessian(40), Hessian(40)
    whole.add(inputs)
    for part in inputs:
        parts.add(part)
    assert whole.rows == parts.rows == 60
    np.testing.assert_allclose(whole.total, parts.total, rtol=1e-4, atol=1e-3)


def test_the_product_error_is_that_of_the_product() -> None:
    inputs = correlated(3, 50, 64)
    weight = np.random.default_rng(3).standard_normal((64, 5)).astype(np.float32)
    blocks = quantize(weight, Form(4, 32, symmetric=False))
    expected = float(((inputs @ (dequantize(blocks) - weight)) ** 2).sum())
    assert product_error(weight, blocks, hessian_of(inputs)) == pytest.approx(expected, rel=1e-3)


def test_nothing_finite_is_reported() -> None:
    with pytest.raises(np.linalg.LinAlgError):
        gptq(np.ones((32, 2), np.float32), np.full((32, 32), np.nan, np.float32), Form(4, 32, symmetric=True))


def test_a_nan_among_the_inputs_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        Hessian(4).add(np.array([[1, 2, np.nan, 3]], np.float32))
