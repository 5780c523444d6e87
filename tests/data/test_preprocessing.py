from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from optkit.core.errors import UsageError
from optkit.data.preprocessing import Preprocessing, prepare

if TYPE_CHECKING:
    from typing import Any

PIXELS = hnp.arrays(np.uint8, (3, 4, 5))


@given(PIXELS, st.floats(0.001, 10), st.floats(-5, 5), st.floats(0.1, 5))
def test_scale_then_mean_then_std(pixels: np.ndarray, scale: float, mean: float, std: float) -> None:
    result = prepare(pixels, Preprocessing(scale=scale, mean=mean, std=std))
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, (pixels * scale - mean) / std, rtol=1e-4, atol=1e-3)


@given(PIXELS)
def test_channels_follow_the_layout(pixels: np.ndarray) -> None:
    mean, std = (1.0, 2.0, 3.0), (4.0, 5.0, 6.0)
    first = prepare(pixels, Preprocessing(mean=mean, std=std, layout="nchw"))
    last = prepare(np.moveaxis(pixels, 0, -1), Preprocessing(mean=mean, std=std, layout="nhwc"))
    np.testing.assert_array_equal(np.moveaxis(last, -1, 0), first)
    np.testing.assert_allclose(first[1], (pixels[1] - 2.0) / 5.0, rtol=1e-6, atol=1e-6)


def test_features_are_the_last_axis() -> None:
    result = prepare(np.array([10.0, 20.0]), Preprocessing(mean=(10.0, 10.0), std=(1.0, 5.0), dtype="float32"))
    assert result.tolist() == [0.0, 2.0]


def test_nothing_declared_changes_nothing() -> None:
    values = np.arange(6, dtype=np.int64).reshape(2, 3)
    result = prepare(values, Preprocessing())
    assert result.dtype == np.int64
    np.testing.assert_array_equal(result, values)


def test_result_is_contiguous_and_keeps_scalars() -> None:
    assert prepare(np.ones((3, 4)).T, Preprocessing()).flags.c_contiguous
    assert prepare(np.asarray(3), Preprocessing(dtype="float32")).shape == ()
    assert prepare(np.asarray(3.0), Preprocessing()).shape == ()


def test_float64_is_computed_in_float64() -> None:
    result = prepare(np.asarray([1.0]), Preprocessing(scale=0.1, dtype="float64"))
    assert result.tolist() == [0.1]


def test_shape() -> None:
    assert prepare(np.arange(6), Preprocessing(shape=(1, 2, 3))).shape == (1, 2, 3)


@pytest.mark.parametrize(
    ("value", "options", "expected"),
    [
        (np.arange(6), {"shape": (4,)}, r"has shape \[6\], which cannot become \[4\]"),
        (np.zeros((2, 5)), {"mean": (1.0, 2.0)}, "but mean or std list 2 channels"),
        (np.asarray(3.0), {"mean": (1.0, 2.0)}, "list 2 channels"),
        (np.array(["a"]), {}, "not numbers"),
        (np.array([None]), {}, "not numbers"),
        (np.array(["2020-01-01"], "M8[D]"), {}, "not numbers"),
        (np.array([]), {}, "is empty"),
        (np.array([1.0, np.nan]), {}, "holds NaN"),
        (np.array([np.nan]), {"dtype": "int64"}, "holds NaN"),
        (np.array([1.5]), {"dtype": "int64"}, "no int64"),
        (np.array([-1]), {"dtype": "uint8"}, "no uint8"),
        (np.array([2]), {"dtype": "bool"}, "no bool"),
        (np.array([2**40]), {"dtype": "int32"}, "no int32"),
        (np.array([1e6]), {"dtype": "float16"}, "too large for float16"),
    ],
)
def test_values_that_do_not_fit(value: np.ndarray, options: dict[str, Any], expected: str) -> None:
    with pytest.raises(UsageError, match=expected):
        prepare(value, Preprocessing(**options))


@given(
    hnp.arrays(np.int64, st.integers(1, 5), elements=st.integers(-300, 300)),
    st.sampled_from(["int8", "uint8", "int16"]),
)
def test_integers_are_kept_or_refused(values: np.ndarray, dtype: Any) -> None:  # noqa: ANN401  # a Literal
    info = np.iinfo(dtype)
    fits = values.min() >= info.min and values.max() <= info.max
    if fits:
        np.testing.assert_array_equal(prepare(values, Preprocessing(dtype=dtype)), values)
    else:
        with pytest.raises(UsageError, match="holds values"):
            prepare(values, Preprocessing(dtype=dtype))


def test_infinities_pass_where_they_were_meant() -> None:
    assert prepare(np.array([-np.inf, 0.0]), Preprocessing(dtype="float16")).tolist() == [-np.inf, 0.0]
