from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optkit.graph.equalize import equalize, find_pairs

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Network = Callable[..., ir.Model]
    Compute = Callable[[ir.Model, NDArray[Any]], NDArray[Any]]

IMAGE = "[N, 3, 8, 8]"
CONV = "a = Conv<pads = [1, 1, 1, 1]>(x, w, b)"
# name → (body, input, weights): each holds one pair, and computes the same whatever its channels' scales.
FIRES = {
    "relu": (f"{CONV} r = Relu(a) y = Conv(r, v)", IMAGE, {"w": (6, 3, 3, 3), "b": (6,), "v": (5, 6, 3, 3)}),
    "identity": (f"{CONV} y = Conv(a, v)", IMAGE, {"w": (6, 3, 3, 3), "b": (6,), "v": (5, 6, 3, 3)}),
    "leaky": (f"{CONV} r = LeakyRelu(a) y = Conv(r, v)", IMAGE, {"w": (6, 3, 3, 3), "b": (6,), "v": (5, 6, 1, 1)}),
    "clip at zero": (
        f"{CONV} low = Constant<value_float = 0.0>() r = Clip(a, low) y = Conv(r, v)", IMAGE,
        {"w": (6, 3, 3, 3), "b": (6,), "v": (5, 6, 1, 1)},
    ),
    "depthwise": (
        f"{CONV} r = Relu(a) y = Conv<group = 6>(r, v)", IMAGE, {"w": (6, 3, 3, 3), "b": (6,), "v": (12, 1, 3, 3)}
    ),
    "pooling and flattening": (
        f"{CONV} r = Relu(a) p = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(r) f = Flatten(p) y = Gemm(f, v)",
        IMAGE, {"w": (6, 3, 3, 3), "b": (6,), "v": (96, 4)},
    ),
    "mean": (
        f"{CONV} r = Relu(a) m = GlobalAveragePool(r) f = Flatten(m) y = MatMul(f, v)", IMAGE,
        {"w": (6, 3, 3, 3), "b": (6,), "v": (6, 4)},
    ),
    "two readers": (
        f"{CONV} r = Relu(a) c = Conv(r, v) d = Conv(r, u) y = Add(c, d)", IMAGE,
        {"w": (6, 3, 3, 3), "b": (6,), "v": (5, 6, 3, 3), "u": (5, 6, 3, 3)},
    ),
    "transposed": (
        "a = ConvTranspose(x, w, b) r = Relu(a) y = ConvTranspose(r, v)", IMAGE,
        {"w": (3, 6, 2, 2), "b": (6,), "v": (6, 5, 2, 2)},
    ),
    "gemm": (
        "a = Gemm<transB = 1>(x, w, b) r = Relu(a) y = Gemm<transB = 1>(r, v)", "[N, 7]",
        {"w": (6, 7), "b": (6,), "v": (5, 6)},
    ),
    "matmul with a bias apart": (
        "a = MatMul(x, w) s = Add(b, a) r = Relu(s) y = MatMul(r, v)", "[N, 4, 7]",
        {"w": (7, 6), "b": (6,), "v": (6, 5)},
    ),
}  # fmt: skip
# Something else reads the tensor, or does not commute with scales.
STAYS = {
    "residual": f"{CONV} r = Relu(a) c = Conv(r, v) y = Add(c, r)",
    "output": f"{CONV} y = Relu(a) c = Conv(y, v)",
    "sigmoid": f"{CONV} r = Sigmoid(a) y = Conv(r, v)",
    "relu6": f"{CONV} l = Constant<value_float = 0.0>() h = Constant<value_float = 6.0>() r = Clip(a, l, h) "
    "y = Conv(r, v)",
    "groups": f"{CONV} r = Relu(a) y = Conv<group = 3>(r, u)",
    "computed weight": f"{CONV} r = Relu(a) t = Neg(v) y = Conv(r, t)",
}  # fmt: skip
SHAPES = {"w": (6, 3, 1, 1), "b": (6,), "v": (6, 6, 1, 1), "u": (6, 2, 1, 1)}


def names(model: ir.Model) -> set[str]:
    return {node.name or "" for node in model.graph}


def sample(shape: str) -> NDArray[Any]:
    sizes = [2 if size == "N" else int(size) for size in shape.strip("[]").split(", ")]
    return np.random.default_rng(1).standard_normal(sizes).astype(np.float32)


def weight(node: ir.Node) -> NDArray[Any]:
    value = node.inputs[1]
    assert value is not None
    assert value.const_value is not None
    return value.const_value.numpy()


def unbalance(model: ir.Model, seed: int = 0) -> None:
    """Scales the channels of every pair by 2^e, and the readers by the inverse."""
    from optkit.graph.channels import rescale

    random = np.random.default_rng(seed)
    for pair in find_pairs(model, names(model)):
        factors = 2.0 ** random.integers(-5, 6, pair.channels)
        for constant in pair.divided:
            rescale(model.graph, constant, factors)
        for constant in pair.multiplied:
            rescale(model.graph, constant, 1 / factors)


@pytest.mark.parametrize("name", FIRES)
def test_it_fires_and_computes_the_same(name: str, network: Network, compute: Compute) -> None:
    body, shape, weights = FIRES[name]
    model = network(body, shape, **weights)
    x = sample(shape)
    expected = compute(model, x)
    unbalance(model)
    np.testing.assert_allclose(compute(model, x), expected, rtol=1e-4, atol=1e-4)
    (spread,) = equalize(model, names(model)).values()
    assert spread > 30
    np.testing.assert_allclose(compute(model, x), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", STAYS)
def test_it_does_not_fire(name: str, network: Network) -> None:
    model = network(STAYS[name], IMAGE, **SHAPES)
    assert equalize(model, names(model)) == {}


def test_layers_that_stay_float_are_left_alone(network: Network) -> None:
    body, shape, weights = FIRES["relu"]
    model = network(body, shape, **weights)
    assert equalize(model, {next(iter(model.graph)).name or ""}) == {}


def test_a_small_spread_is_left_alone(network: Network) -> None:
    body, shape, weights = FIRES["relu"]
    model = network(body, shape, **weights)
    before = [weight(node) for node in model.graph if node.op_type == "Conv"]
    assert equalize(model, names(model), min_spread=100.0) == {}
    after = [weight(node) for node in model.graph if node.op_type == "Conv"]
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(a, b)


CHAIN = """a = Conv(x, w, b) r = Relu(a) d = Conv<group = 6>(r, v, c) s = Relu(d) y = Conv(s, u)"""


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000))
def test_ranges_agree_along_a_depthwise_chain(seed: int) -> None:
    model = chain(seed)
    unbalance(model, seed)
    equalize(model, names(model))
    first, middle, last = (weight(node) for node in model.graph if node.op_type == "Conv")
    out, inner = (np.abs(each).reshape(6, -1).max(axis=1) for each in (first, middle))
    behind = np.abs(last).max(axis=(0, 2, 3))
    # Both sides of each pair have equal ranges: within the tolerance of the iteration.
    np.testing.assert_allclose(out, inner, rtol=0.05)
    np.testing.assert_allclose(inner, behind, rtol=0.05)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000))
def test_the_result_does_not_depend_on_the_scales_that_it_found(seed: int) -> None:
    plain, skewed = chain(seed), chain(seed)
    unbalance(skewed, seed)
    equalize(plain, names(plain))
    equalize(skewed, names(skewed))
    for a, b in zip(plain.graph, skewed.graph, strict=True):
        if a.op_type == "Conv":
            np.testing.assert_allclose(np.abs(weight(a)), np.abs(weight(b)), rtol=0.05)


def test_dead_channels_keep_their_scale(network: Network) -> None:
    body, shape, weights = FIRES["identity"]
    model = network(body, shape, **weights)
    conv = next(iter(model.graph))
    dead = weight(conv).copy()
    dead[2] = 0
    model.graph.initializers["w"].const_value = ir.tensor(dead, name="w")
    equalize(model, names(model))
    scaled = weight(conv)
    assert np.isfinite(scaled).all()
    assert not scaled[2].any()


def test_a_shared_weight_is_scaled_for_its_own_reader_only(network: Network, compute: Compute) -> None:
    body = "a = Conv(x, w) r = Relu(a) c = Conv(r, v) d = Conv(x, v) y = Add(c, d)"
    model = network(body, "[N, 6, 8, 8]", w=(6, 6, 1, 1), v=(6, 6, 1, 1))
    x = sample("[N, 6, 8, 8]")
    expected = compute(model, x)
    assert equalize(model, names(model))
    np.testing.assert_allclose(compute(model, x), expected, rtol=1e-4, atol=1e-4)


def chain(seed: int) -> ir.Model:
    from optkit.graph.shapes import name_nodes, refresh_shapes

    random = np.random.default_rng(seed)
    shapes = {"w": (6, 3, 1, 1), "b": (6,), "v": (6, 1, 3, 3), "c": (6,), "u": (5, 6, 1, 1)}
    tensors = [ir.tensor(random.standard_normal(shape).astype(np.float32), name=n) for n, shape in shapes.items()]
    text = f'<ir_version: 10, opset_import: ["" : 20]> net (float{IMAGE} x) => (float[N, 5, 6, 6] y) {{{CHAIN}}}'
    model = ir.from_onnx_text(text, initializers=tensors)
    name_nodes(model)
    refresh_shapes(model)
    return model
