from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from optkit.quant.channel_statistics import ChannelStatistics

if TYPE_CHECKING:
    from numpy.typing import NDArray

VALUES = hnp.arrays(np.float32, (6, 3, 4), elements=st.floats(-1e6, 1e6, width=32))


def of(axis: int, *arrays: NDArray[np.float32]) -> ChannelStatistics:
    statistics = ChannelStatistics(axis)
    for array in arrays:
        statistics.add(array)
    return statistics


@pytest.mark.parametrize("axis", [-1, -2, -3])
@given(values=VALUES)
def test_statistics_are_those_of_the_channels(axis: int, values: NDArray[np.float32]) -> None:
    others = tuple({0, 1, 2} - {axis % 3})
    exact = values.astype(np.float64)
    found = of(axis, values)
    np.testing.assert_array_equal(found.peak, np.abs(exact).max(axis=others))
    np.testing.assert_allclose(found.mean, exact.mean(axis=others), rtol=1e-9, atol=1e-6)
    np.testing.assert_allclose(found.power, (exact**2).mean(axis=others), rtol=1e-4, atol=1e-36)


@given(values=VALUES, cut=st.integers(0, 6))
def test_batching_changes_nothing(values: NDArray[np.float32], cut: int) -> None:
    whole, split = of(-1, values), of(-1, values[:cut], values[cut:])
    assert whole.count == split.count
    np.testing.assert_array_equal(whole.peak, split.peak)
    np.testing.assert_allclose(whole.mean, split.mean, rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(whole.power, split.power, rtol=1e-5, atol=1e-36)


def test_shapes_may_differ_besides_the_channels() -> None:
    found = of(-1, np.ones((2, 5, 3), np.float32), -2 * np.ones((1, 3), np.float32))
    assert found.count == 11
    np.testing.assert_array_equal(found.peak, [2, 2, 2])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_non_finite_values_are_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="not finite"):
        of(-1, np.array([[1, bad]], np.float32))


def test_nothing_seen_is_said() -> None:
    with pytest.raises(ValueError, match="nothing was added"):
        _ = of(-1, np.zeros((0, 3), np.float32)).peak
