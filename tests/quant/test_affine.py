from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from onnx import TensorProto, helper, numpy_helper

from optkit.quant.affine import (
    INT7_LIMIT,
    INT8_LIMIT,
    activation_scale,
    quantize_bias,
    quantize_weight,
    weight_grid,
    widened_for_bias,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

finite = st.floats(-(2.0**99), 2.0**99, width=32)
weights = hnp.arrays(
    np.float32, hnp.array_shapes(min_dims=2, max_dims=4, max_side=5), elements=st.floats(-100, 100, width=32)
)


@given(one=finite, other=finite, signed=st.booleans())
def test_zero_is_a_code_and_the_range_is_covered(*, one: float, other: float, signed: bool) -> None:
    low, high = sorted((one, other))
    scale, zero = activation_scale(low, high, signed=signed)
    step, offset = float(scale), int(zero)
    assert scale.dtype == np.float32
    assert scale.shape == zero.shape == ()
    assert step > 0
    assert zero.dtype == (np.int8 if signed else np.uint8)
    first, last = (-127, 127) if signed else (0, 255)
    assert first <= offset <= last
    if low < 0 < high or step > 2.0**-60:
        assert (first - offset) * step <= min(low, 0) + 0.51 * step
        assert (last - offset) * step >= max(high, 0) - 0.51 * step


@given(finite.filter(lambda value: abs(value) > 1e-10))
def test_signed_activations_are_symmetric(end: float) -> None:
    scale, zero = activation_scale(min(end, 0), max(end, 0), signed=True)
    assert zero == 0
    assert float(scale) == pytest.approx(abs(end) / 127, rel=1e-6)


def test_a_dead_tensor_gets_a_scale_for_numbers_around_one() -> None:
    scale, zero = activation_scale(0.0, 0.0, signed=False)
    assert float(scale) == pytest.approx(2 / 255)
    assert int(zero) in {127, 128}


def test_a_constant_tensor_is_represented_to_half_a_step() -> None:
    scale, zero = activation_scale(5.0, 5.0, signed=False)
    assert int(zero) == 0
    assert float(scale) * 255 == pytest.approx(5.0, rel=1e-6)


@pytest.mark.parametrize("ends", [(1.0, 0.0), (float("nan"), 1.0), (0.0, float("inf"))])
def test_what_is_no_range_is_refused(ends: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="is no range"):
        activation_scale(*ends, signed=False)


@given(weights, st.integers(0, 3), st.sampled_from([INT7_LIMIT, INT8_LIMIT]))
def test_weights_match_a_loop_over_channels(array: NDArray[Any], axis: int, limit: int) -> None:
    axis %= array.ndim
    grid = weight_grid(array, axis, limit)
    codes = quantize_weight(array, grid)
    assert codes.dtype == np.int8
    for index in range(array.shape[axis]):
        channel, scale = array.take(index, axis), grid.scale[index]
        expected = np.clip(np.round(channel / scale), -limit, limit)
        assert np.array_equal(codes.take(index, axis), expected)
        assert np.abs(codes.take(index, axis) * scale - channel).max() <= 0.501 * scale
        if np.abs(channel).max() > 1e-10:
            assert np.abs(codes.take(index, axis)).max() == limit


@given(weights)
def test_one_scale_for_a_whole_weight(array: NDArray[Any]) -> None:
    grid = weight_grid(array, None)
    assert grid.scale.shape == ()
    assert np.abs(quantize_weight(array, grid) * grid.scale - array).max() <= 0.501 * grid.scale


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
def test_large_weights_are_converted_in_parts(axis: int | None) -> None:
    array = np.random.default_rng(0).standard_normal((3, 500, 700)).astype(np.float32)
    grid = weight_grid(array, axis)
    shape = [1, 1, 1]
    if axis is not None:
        shape[axis] = -1
    scaled = array / grid.scale.reshape(shape)
    assert np.array_equal(quantize_weight(array, grid), np.clip(np.rint(scaled), -127, 127))


def test_an_empty_channel_borrows_the_largest_scale() -> None:
    grid = weight_grid(np.array([[0, 0], [1, -2], [4, 3]], np.float32), 0)
    assert grid.scale.tolist() == pytest.approx([4 / 127, 2 / 127, 4 / 127])
    assert weight_grid(np.zeros((2, 2), np.float32), 0).scale.tolist() == [1, 1]


@given(
    hnp.arrays(np.float32, 4, elements=st.floats(2.0**-20, 10, width=32)),
    hnp.arrays(np.float32, 4, elements=st.floats(-1000, 1000, width=32)),
    st.floats(1e-6, 1),
)
def test_a_bias_is_kept_to_half_a_step(absmax: NDArray[Any], bias: NDArray[Any], input_scale: float) -> None:
    grid = widened_for_bias(weight_grid(np.diag(absmax), 0), bias, input_scale, products=64)
    assert grid is not None
    codes, scale = quantize_bias(bias, input_scale, grid.scale)
    assert codes.dtype == np.int32
    error = np.abs(codes * scale.astype(np.float64) - bias)
    assert (error <= 0.5 * scale + 1e-6 * np.abs(bias)).all()


def test_only_the_channel_whose_bias_overflows_is_widened() -> None:
    grid = weight_grid(np.array([[1.0], [1e-12], [0.5]], np.float32), 0)
    bias = np.array([3.0, 2.0, 1.0], np.float32)
    widened = widened_for_bias(grid, bias, 0.01, products=1)
    assert widened is not None
    assert (widened.scale == grid.scale).tolist() == [True, False, True]
    codes, scale = quantize_bias(bias, 0.01, widened.scale)
    assert codes * scale.astype(np.float64) == pytest.approx(bias, rel=1e-6)


def test_a_bias_that_fits_changes_nothing() -> None:
    grid = weight_grid(np.ones((3, 2), np.float32), 0)
    assert widened_for_bias(grid, np.ones(3, np.float32), 0.1, products=2) is grid


@pytest.mark.parametrize(("axis", "products"), [(None, 1), (0, 2**20)])
def test_widening_that_would_harm_is_refused(axis: int | None, products: int) -> None:
    grid = weight_grid(np.full((2, 2), 1e-12, np.float32), axis)
    assert widened_for_bias(grid, np.ones(2, np.float32), 0.01, products) is None


def worst_sum(weight: int, products: int) -> int:
    """Returns what this machine makes of `products` times 255 x weight."""
    matrix = numpy_helper.from_array(np.full((products, 16), weight, np.int8), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, [4, products])],
        [helper.make_tensor_value_info("y", TensorProto.INT32, [4, 16])],
        [matrix],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (sums,) = session.run(None, {"x": np.full((4, products), 255, np.uint8)})
    return int(sums[0, 0])


@pytest.mark.parametrize("weight", [INT7_LIMIT, -INT7_LIMIT])
def test_seven_bit_weights_never_saturate_with_eight_bit_activations(weight: int) -> None:
    assert worst_sum(weight, 256) == 255 * weight * 256
