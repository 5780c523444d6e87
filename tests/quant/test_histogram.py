from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from optkit.quant.histogram import BINS, Histogram

if TYPE_CHECKING:
    from numpy.typing import NDArray

FLOATS = hnp.arrays(
    np.float32, st.integers(1, 60), elements=st.floats(-(2.0**60), 2.0**60, width=32, allow_subnormal=False)
)


def of(*arrays: NDArray[np.float32]) -> Histogram:
    histogram = Histogram()
    for array in arrays:
        histogram.add(array)
    return histogram


def same(a: Histogram, b: Histogram) -> bool:
    return (a.low, a.high, a.limit) == (b.low, b.high, b.limit) and bool((a.counts == b.counts).all())


@given(values=FLOATS, cut=st.integers(0, 60))
def test_result_does_not_depend_on_batching(values: NDArray[np.float32], cut: int) -> None:
    assert same(of(values), of(values[:cut], values[cut:]))


@given(values=FLOATS, seed=st.integers(0, 100))
def test_result_does_not_depend_on_order(values: NDArray[np.float32], seed: int) -> None:
    shuffled = np.random.default_rng(seed).permutation(values)
    assert same(of(values), of(*shuffled[:, None]))


@given(values=FLOATS)
def test_every_value_is_counted_in_its_bin(values: NDArray[np.float32]) -> None:
    histogram = of(values)
    expected, _ = np.histogram(values.astype(np.float64), histogram.edges())
    np.testing.assert_array_equal(histogram.counts, expected)
    assert histogram.counts.sum() == values.size
    assert (histogram.low, histogram.high) == (values.min(), values.max())


@given(values=FLOATS)
def test_limit_is_the_next_power_of_two(values: NDArray[np.float32]) -> None:
    histogram = of(values)
    peak = float(np.abs(values).max())
    assert peak < histogram.limit
    assert np.log2(histogram.limit) == np.round(np.log2(histogram.limit))
    assert histogram.limit <= max(2 * peak, 2.0**-100)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_non_finite_values_are_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="not finite"):
        of(np.array([1.0, bad], np.float32))


def test_empty_arrays_and_zeros_are_fine() -> None:
    histogram = of(np.zeros((0, 3), np.float32), np.zeros(5, np.float32))
    assert histogram.counts.sum() == 5
    assert (histogram.low, histogram.high) == (0, 0)


def test_memory_does_not_grow_with_samples() -> None:
    histogram = Histogram()
    for _ in range(50):
        histogram.add(np.random.default_rng(0).standard_normal((3, 50)).astype(np.float32))
    assert histogram.counts.shape == (BINS,)


def test_a_negative_value_that_vanishes_beside_a_large_one_stays_below_zero() -> None:
    values = np.array([-1e-36, 1e18], np.float32)
    assert same(of(values), of(values[:1], values[1:]))
    assert of(values).counts[BINS // 2 - 1] == 1


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), cut=st.integers(1, 5))
def test_of_many_positions_the_same_ones_are_counted_however_batched(seed: int, cut: int) -> None:
    values = np.random.default_rng(seed).standard_normal((6, 3, 40, 50)).astype(np.float32)
    whole = of(values)
    assert same(whole, of(values[:cut], values[cut:]))
    assert 512 * 18 <= whole.counts.sum() < values.size
    assert (whole.low, whole.high) == (values.min(), values.max())


def test_thinning_keeps_the_distribution_of_a_picture_with_stripes() -> None:
    stripes = np.zeros((4, 2, 64, 64), np.float32)
    stripes[:, :, :, ::2] = 1.0
    counts = of(stripes).counts
    assert np.sort(counts)[-2] / counts.sum() == pytest.approx(0.5, abs=0.01)


@given(bins=st.integers(1, 64), seed=st.integers(0, 1000))
def test_coarse_counts_are_numpys_but_for_values_at_a_border(bins: int, seed: int) -> None:
    histogram = of(np.random.default_rng(seed).uniform(-3, 1, 500).astype(np.float32))
    expected = np.histogram(histogram.centers(), bins, (histogram.low, histogram.high), weights=histogram.counts)[0]
    assert sum(histogram.coarse(bins)) == 500
    assert np.abs(expected - histogram.coarse(bins)).sum() <= 4


def test_a_constant_tensor_has_no_coarse_histogram() -> None:
    assert of(np.full(5, 2.0, np.float32)).coarse(8) == []
