from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optkit.graph.smooth import ALPHAS, Channels, best_scales, expected_error, find_sites, smooth

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx_ir as ir
    from numpy.typing import NDArray

    Network = Callable[..., ir.Model]
    Compute = Callable[[ir.Model, NDArray[Any]], NDArray[Any]]

Shapes = dict[str, tuple[int, ...]]
TOKENS = "[N, 4, 8]"
NORM: Shapes = {"g": (8,), "b": (8,), "w": (8, 5), "v": (8, 5), "r": (1, 8)}
NORMED = "n = LayerNormalization<axis = -1>(x, g, b)"
RESHAPED = (
    f"{NORMED} s = Constant<value_ints = [-1, 8]>() p = Reshape(n, s) q = Reshape(n, s) "
    "c = Gemm(p, w) d = Gemm(q, v) y = Mul(c, d)"
)
GELU = (
    "h = MatMul(x, w) half = Constant<value_float = 0.5>() one = Constant<value_float = 1.0>() e = Erf(h) "
    "p = Add(e, one) a = Mul(h, half) s = Mul(a, p) y = MatMul(s, u)"
)
# name → (body, weights): the division goes into constants.
FOLDS: dict[str, tuple[str, Shapes]] = {
    "layer norm": (f"{NORMED} y = MatMul(n, w)", NORM),
    "two readers": (f"{NORMED} c = MatMul(n, w) d = MatMul(n, v) y = Mul(c, d)", NORM),
    "reshaped": (RESHAPED, NORM),
    "norm written out": ("m = Mul(x, g) n = Add(m, b) y = MatMul(n, w)", NORM),
    "skip norm": (
        "n = com.microsoft.SkipLayerNormalization<epsilon = 0.00001>(x, x, g, b) y = MatMul(n, w)", NORM
    ),
    "rms norm": ("n = SimplifiedLayerNormalization<axis = -1>(x, g) y = MatMul(n, w)", NORM),
    "linear and relu": ("h = MatMul(x, w) s = Relu(h) y = MatMul(s, u)", {"w": (8, 6), "u": (6, 5)}),
    "gated": (
        "h = MatMul(x, w) k = MatMul(x, v) e = Sigmoid(k) s = Mul(h, e) y = MatMul(s, u)",
        {"w": (8, 6), "v": (8, 6), "u": (6, 5)},
    ),
    "gelu written out": (
        GELU,
        {"w": (8, 6), "u": (6, 5)},
    ),
    "mean of tokens": (f"{NORMED} m = ReduceMean<keepdims = 0>(n, one) y = Gemm(m, w)", NORM),
}  # fmt: skip
# Something else reads the tensor, or nothing in front absorbs the division: it takes a Mul.
TAKES_A_MUL: dict[str, tuple[str, Shapes]] = {
    "residual": (f"{NORMED} c = MatMul(n, r) y = Add(c, n)", {**NORM, "r": (8, 8)}),
    "gelu": ("h = MatMul(x, w) s = Gelu(h) y = MatMul(s, u)", {"w": (8, 6), "u": (6, 5)}),
    "input": ("y = MatMul(x, w)", NORM),
}


def names(model: ir.Model) -> set[str]:
    return {node.name or "" for node in model.graph}


def outliers(channels: int, seed: int = 0) -> Channels:
    peak = np.random.default_rng(seed).uniform(0.5, 1.5, channels)
    peak[::4] *= 100
    return Channels(peak, peak**2 / 9, 10_000)


def smoothed(model: ir.Model, *, mul: float = 0.0) -> dict[str, bool]:
    sites = find_sites(model, names(model))
    channels = {site.tensor.name or "": outliers(site.weights[0].array().shape[0]) for site in sites}
    done = smooth(model, sites, channels, min_gain_db=1.0, min_gain_of_mul_db=mul)
    return {name: each.inserted for name, each in done.items()}


def sample() -> NDArray[Any]:
    return np.random.default_rng(1).standard_normal((2, 4, 8)).astype(np.float32)


def build(network: Network, body: str, shapes: Shapes) -> ir.Model:
    prefix = "one = Constant<value_ints = [1]>() " if "(n, one)" in body else ""
    return network(prefix + body, TOKENS, **shapes)


@pytest.mark.parametrize("name", FOLDS)
def test_division_goes_into_constants(name: str, network: Network, compute: Compute) -> None:
    body, weights = FOLDS[name]
    model = build(network, body, weights)
    expected, count = compute(model, sample()), len(model.graph)
    last = smoothed(model, mul=1e9)
    assert False in last.values()
    assert len(model.graph) == count
    np.testing.assert_allclose(compute(model, sample()), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", TAKES_A_MUL)
def test_a_mul_is_inserted_only_if_it_pays(name: str, network: Network, compute: Compute) -> None:
    body, weights = TAKES_A_MUL[name]
    model = build(network, body, weights)
    expected, count = compute(model, sample()), len(model.graph)
    assert smoothed(model, mul=1e9) == {}
    assert True in smoothed(model).values()
    assert len(model.graph) > count
    np.testing.assert_allclose(compute(model, sample()), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "body",
    [
        "w2 = Neg(w) y = MatMul(x, w2)",
        "t = Transpose<perm = [0, 2, 1]>(x) y = MatMul(x, t)",
        "y = Conv(x, k)",
    ],
)
def test_other_products_are_no_sites(body: str, network: Network) -> None:
    model = network(body, TOKENS, w=(8, 5), k=(3, 4, 1))
    assert find_sites(model, names(model)) == []


def test_layers_that_stay_float_are_left_alone(network: Network) -> None:
    model = network(*FOLDS["layer norm"][:1], TOKENS, **NORM)
    assert find_sites(model, set()) == []


def test_tensors_that_were_not_seen_are_left_alone(network: Network) -> None:
    model = network(FOLDS["layer norm"][0], TOKENS, **NORM)
    sites = find_sites(model, names(model))
    assert smooth(model, sites, {}, min_gain_db=0, min_gain_of_mul_db=0) == {}


def channels(x: NDArray[Any]) -> Channels:
    return Channels(np.abs(x).max(axis=0), (x**2).mean(axis=0), len(x))


def quantized(values: NDArray[Any], steps: NDArray[Any] | float) -> NDArray[Any]:
    return np.asarray(np.rint(values / steps) * steps)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), ratio=st.floats(10, 1000))
def test_outliers_cost_less_after_smoothing(seed: int, ratio: float) -> None:
    random = np.random.default_rng(seed)
    x, weight = random.standard_normal((400, 16)), random.standard_normal((16, 8))
    x[:, 3] *= ratio
    weight[3] /= ratio
    alpha, scales, gain = best_scales(channels(x), [weight])

    def error(scale: NDArray[Any]) -> float:
        a, w = x / scale, weight * scale[:, None]
        rounded = quantized(a, 2 * np.abs(a).max() / 255) @ quantized(w, np.abs(w).max(axis=0) / 127)
        return float(((rounded - x @ weight) ** 2).mean())

    assert alpha in ALPHAS
    assert gain > 3
    assert error(scales) < error(np.ones(16)) / 2


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_expected_error_is_what_rounding_does(seed: int) -> None:
    random = np.random.default_rng(seed)
    x, weight = random.standard_normal((2000, 32)), random.standard_normal((32, 16))
    rounded = quantized(x, 2 * np.abs(x).max() / 255) @ quantized(weight, np.abs(weight).max(axis=0) / 127)
    measured = ((rounded - x @ weight) ** 2).mean(axis=0).sum()
    assert expected_error(channels(x), [weight], np.ones(32)) == pytest.approx(measured, rel=0.3)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), count=st.sampled_from([16, 64, 256, 1024]))
def test_the_expected_error_is_that_of_values_not_seen(seed: int, count: int) -> None:
    """Where every channel's peak is the end of the range, what was not seen is clipped."""
    random = np.random.default_rng(seed)
    x, fresh = random.standard_normal((count, 64)), random.standard_normal((4000, 64))
    weight = random.standard_normal((64, 16))
    seen = channels(x)
    step = 2 / 255
    rounded = np.clip(quantized(fresh / seen.peak, step), -1, 1) @ (weight * seen.peak[:, None])
    measured = ((rounded - fresh @ weight) ** 2).mean(axis=0).sum()
    # Weights are not rounded here; 64 tails give an estimate, not a figure.
    assert measured / 3 < expected_error(seen, [weight], seen.peak) < measured * 3


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), dead=st.integers(0, 7))
def test_scales_are_finite_and_positive(seed: int, dead: int) -> None:
    random = np.random.default_rng(seed)
    peak = random.uniform(0, 1, 8) * 10.0 ** random.integers(-3, 4, 8)
    peak[:dead] = 0
    weight = random.standard_normal((8, 4))
    weight[dead % 8] = 0
    _, scales, gain = best_scales(Channels(peak, peak**2, 100), [weight])
    assert np.isfinite(scales).all()
    assert (scales > 0).all()
    assert gain >= 0


def test_nothing_to_gain_is_no_gain() -> None:
    seen = Channels(np.zeros(4), np.zeros(4), 100)
    assert best_scales(seen, [np.ones((4, 2))])[2] == 0
    assert best_scales(outliers(4), [np.zeros((4, 2))])[2] == 0
