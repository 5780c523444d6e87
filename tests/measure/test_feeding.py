from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optkit.core.errors import StepFailed, UsageError
from optkit.core.interface import Dim, Interface, Tensor
from optkit.measure.feeding import batch_limit, from_model, made_up_inputs, to_model, with_outputs


def _interface(*inputs: Tensor, **dims: Dim) -> Interface:
    return Interface(inputs, (Tensor("y", "float32", ("batch", 2)),), {"batch": Dim(1, 2, 8), **dims})


def test_limit_of_a_dynamic_batch() -> None:
    assert batch_limit(_interface(Tensor("x", "float32", ("batch", 3)))) == 8


def test_limit_is_one_if_any_input_holds_one_sample() -> None:
    assert batch_limit(_interface(Tensor("x", "float32", (1, 3)))) == 1
    assert batch_limit(_interface(Tensor("x", "float32", ("batch", 3)), Tensor("scale", "float32", ()))) == 1


@pytest.mark.parametrize("shape", [(3, 28, 28), ("seq", 3), ()])
def test_no_axis_of_samples(shape: tuple[int | str, ...]) -> None:
    with pytest.raises(
        UsageError, match=r"input 'x' has shape \[.*\], which has no axis of samples\ndeclare it.*batch"
    ):
        batch_limit(_interface(Tensor("x", "float32", shape)))


def test_inputs_come_in_order_with_samples_on_the_declared_axis() -> None:
    interface = _interface(
        Tensor("b", "int64", ("seq", "batch")), Tensor("a", "float32", ("batch", 2)), seq=Dim(1, 4, 9)
    )
    a, b = np.zeros((3, 2), np.float32), np.arange(15).reshape(3, 5)
    fed = to_model({"a": a, "b": b, "unused": a}, interface)
    assert list(fed) == ["b", "a"]
    np.testing.assert_array_equal(fed["b"], b.T)


@given(axis=st.integers(0, 2), count=st.integers(1, 4))
def test_outputs_come_back_where_inputs_went(axis: int, count: int) -> None:
    shape: list[int | str] = [5, 6]
    shape.insert(axis, "batch")
    tensor = Tensor("x", "float32", tuple(shape))
    samples = np.random.default_rng(0).normal(size=(count, 5, 6)).astype(np.float32)
    fed = to_model({"x": samples}, _interface(tensor))["x"]
    np.testing.assert_array_equal(from_model(fed, tensor, count), samples)


@pytest.mark.parametrize("sample_shape", [(3, 4), (1, 3, 4)])
def test_fixed_batch_of_one_takes_samples_with_and_without_the_axis(sample_shape: tuple[int, ...]) -> None:
    samples = np.zeros((1, *sample_shape), np.float32)
    assert to_model({"x": samples}, _interface(Tensor("x", "float32", (1, 3, 4))))["x"].shape == (1, 3, 4)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 4), np.float32), r"sample 7: input 'x' has shape \[2, 4\], the model wants \[batch, 3, seq\]"),
        (np.zeros((2, 4, 5), np.float32), r"has shape \[2, 4, 5\], the model wants \[batch, 3, seq\]"),
        (np.zeros((2, 3, 10), np.float32), r"seq is 10, outside 2 to 9\nwiden `dims.seq`"),
        (np.full((2, 3, 5), 0.1), "sample 7: input 'x' is float64, the model wants float32"),
    ],
)
def test_what_does_not_fit_is_named(array: np.ndarray, message: str) -> None:
    interface = _interface(Tensor("x", "float32", ("batch", 3, "seq")), seq=Dim(2, 4, 9))
    with pytest.raises(UsageError, match=message):
        to_model({"x": array}, interface, start=7)


def test_missing_input_tells_what_there_is() -> None:
    with pytest.raises(UsageError, match=r"the model needs 'ids', .*\nit offers image, mask"):
        to_model({"image": np.zeros(1), "mask": np.zeros(1)}, _interface(Tensor("ids", "int64", ("batch",))))


def test_one_dimension_has_one_size() -> None:
    tensors = (Tensor(name, "int64", ("batch", "seq")) for name in ("ids", "mask"))
    with pytest.raises(UsageError, match=r"'mask' .*: seq is 4 here and 3 in another input"):
        to_model(
            {"ids": np.zeros((2, 3), np.int64), "mask": np.zeros((2, 4), np.int64)},
            _interface(*tensors, seq=Dim(1, 4, 9)),
        )


@pytest.mark.parametrize(
    ("array", "dtype", "fits"),
    [
        (np.array([1, 255], np.uint8), "float32", True),
        (np.array([1, 2**31], np.int64), "int32", False),
        (np.array([1, -5], np.int64), "int32", True),
        (np.array([0.5, np.nan], np.float32), "float16", True),
        (np.array([np.nan]), "int64", False),
        (np.array([1e30]), "float16", False),
        (np.array([0, 2]), "bool", False),
    ],
)
def test_casts_only_without_loss(array: np.ndarray, dtype: str, *, fits: bool) -> None:
    interface = _interface(Tensor("x", dtype, ("batch",)))
    if fits:
        cast = to_model({"x": array}, interface)["x"]
        assert cast.dtype == dtype
        np.testing.assert_array_equal(cast.astype(array.dtype), array)
    else:
        with pytest.raises(UsageError, match="would change values"):
            to_model({"x": array}, interface)


def test_output_without_samples_is_refused() -> None:
    with pytest.raises(StepFailed, match=r"output 'y' has shape \[1, 2\] for 3 samples; axis 0"):
        from_model(np.zeros((1, 2)), Tensor("y", "float32", ("batch", 2)), 3)
    with pytest.raises(StepFailed, match="axis 0 should hold them"):
        from_model(np.zeros(()), Tensor("y", "float32", ()), 3)


@pytest.mark.parametrize(("shape", "output"), [((1, 2), (1, 2)), ((2,), (2,)), ((), ())])
def test_output_of_one_sample(shape: tuple[int, ...], output: tuple[int, ...]) -> None:
    result = from_model(np.zeros(output), Tensor("y", "float32", shape), 1)
    assert result.shape == (1, *shape) if shape != (1, 2) else (1, 2)
    assert len(result) == 1


def test_output_of_unknown_shape_has_samples_first() -> None:
    assert from_model(np.zeros((3, 7)), Tensor("y", "float32", ("batch", "...")), 3).shape == (3, 7)


@pytest.mark.parametrize(("output", "sample"), [((4,), (4,)), ((1, 4), (4,)), ((1,), ()), ((), ())])
def test_output_of_unknown_shape_of_a_model_without_samples(output: tuple[int, ...], sample: tuple[int, ...]) -> None:
    assert from_model(np.zeros(output), Tensor("y", "float32", ("...",)), 1).shape == (1, *sample)


def test_outputs_that_nobody_declared_are_those_of_a_run() -> None:
    interface = Interface((Tensor("x", "float32", ("batch", 2)),), (), {"batch": Dim()})
    found = with_outputs(interface, {"a": np.zeros((1, 2)), "b": np.zeros(1, bool)})
    assert found.outputs == (Tensor("a", "float64", ("batch", "...")), Tensor("b", "bool", ("batch", "...")))
    assert with_outputs(found, {}) is found


@given(seed=st.integers(0, 100), low=st.integers(-5, 5), width=st.integers(1, 9))
def test_made_up_inputs_keep_to_shape_dtype_and_range(seed: int, low: int, width: int) -> None:
    bounds = (float(low), float(low + width))
    interface = _interface(
        Tensor("ids", "int32", ("batch", "seq"), bounds),
        Tensor("mask", "float32", ("batch", "seq"), bounds),
        Tensor("free", "float16", ("batch", 40)),
        Tensor("count", "uint8", ("batch", 40)),
        Tensor("flag", "bool", ("batch", 40)),
    )
    made = made_up_inputs(interface, {"batch": 3, "seq": 20}, seed)
    for tensor in interface.inputs:
        array = made[tensor.name]
        assert array.dtype == tensor.dtype
        assert array.shape[0] == 3
        assert array.min() < array.max()
        if tensor.range:
            assert tensor.range[0] <= array.min() <= array.max() <= tensor.range[1]
    again = made_up_inputs(interface, {"batch": 3, "seq": 20}, seed)
    assert all(np.array_equal(made[name], again[name]) for name in made)


def test_made_up_inputs_of_equal_declaration_differ() -> None:
    interface = _interface(Tensor("a", "float32", ("batch", 9)), Tensor("b", "float32", ("batch", 9)))
    made = made_up_inputs(interface, {"batch": 1}, 0)
    assert not np.array_equal(made["a"], made["b"])


def test_a_made_up_mask_keeps_something_of_every_sample() -> None:
    interface = Interface((Tensor("mask", "int64", ("batch", "n"), (0, 1)),), (), {"batch": Dim(), "n": Dim()})
    mask = made_up_inputs(interface, {"batch": 64, "n": 9}, seed=0)["mask"]
    assert (mask[:, 0] == 1).all()
    assert 0 < mask[:, 1:].mean() < 1
