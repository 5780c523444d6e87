from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from optkit.quant.histogram import Histogram
from optkit.quant.ranges import expected_sqnr_db, find_range

if TYPE_CHECKING:
    from numpy.typing import NDArray

Method = Literal["minmax", "percentile", "mse", "kl"]
METHODS: tuple[Method, ...] = ("minmax", "percentile", "mse", "kl")
ARRAYS = hnp.arrays(np.float32, st.integers(1, 80), elements=st.floats(-1e6, 1e6, width=32, allow_subnormal=False))


def of(values: NDArray[np.float32]) -> Histogram:
    histogram = Histogram()
    histogram.add(values)
    return histogram


def quantized(values: NDArray[np.float32], ends: tuple[float, float], levels: int = 255) -> NDArray[np.float64]:
    scale = (ends[1] - ends[0]) / levels
    zero = np.rint(-ends[0] / scale)
    code = np.clip(np.rint(values.astype(np.float64) / scale) + zero, 0, levels)
    result: NDArray[np.float64] = (code - zero) * scale
    return result


def error(values: NDArray[np.float32], ends: tuple[float, float]) -> float:
    return float(((quantized(values, ends) - values) ** 2).mean())


@given(values=ARRAYS, method=st.sampled_from(METHODS), symmetric=st.booleans())
def test_ranges_hold_zero_and_stay_inside_what_was_seen(
    values: NDArray[np.float32], method: Method, *, symmetric: bool
) -> None:
    low, high = find_range(of(values), method, symmetric=symmetric)
    assert low <= 0 <= high
    peak = float(np.abs(values).max())
    if symmetric:
        assert low == -high
        assert high <= peak
    else:
        assert low >= min(float(values.min()), 0)
        assert high <= max(float(values.max()), 0)
    assert (low, high) != (0, 0) or method == "percentile" or peak == 0


@given(values=ARRAYS)
def test_minmax_is_exact(values: NDArray[np.float32]) -> None:
    assert find_range(of(values), "minmax") == (min(float(values.min()), 0.0), max(float(values.max()), 0.0))


def test_mse_clips_outliers_and_lowers_the_error() -> None:
    random = np.random.default_rng(0)
    values = np.concatenate([random.standard_normal(400000), [12.0]]).astype(np.float32)
    whole, best = (find_range(of(values), method) for method in ("minmax", "mse"))
    assert best[1] < 9 < whole[1]
    assert error(values, best) < 0.8 * error(values, whole)


@pytest.mark.parametrize("shape", ["normal", "uniform", "relu", "laplace"])
def test_mse_is_near_the_best_range_found_by_trying(shape: str) -> None:
    random = np.random.default_rng(1)
    draws = {
        "normal": random.standard_normal(5000),
        "uniform": random.uniform(-1, 3, 5000),
        "relu": np.maximum(random.standard_normal(5000), 0),
        "laplace": random.laplace(size=5000),
    }
    values = draws[shape].astype(np.float32)
    low, high = min(float(values.min()), 0.0), float(values.max())
    tried = [error(values, (low * a, high * b)) for a in np.linspace(0.3, 1, 25) for b in np.linspace(0.3, 1, 25)]
    assert error(values, find_range(of(values), "mse")) <= 1.05 * min(tried)


def test_percentile_keeps_its_share() -> None:
    values = np.random.default_rng(2).standard_normal(100000).astype(np.float32)
    low, high = find_range(of(values), "percentile", percentile=99.0)
    assert np.mean((values >= low) & (values <= high)) == pytest.approx(0.99, abs=0.001)
    assert low == pytest.approx(np.percentile(values, 0.5), abs=0.01)
    assert high == pytest.approx(np.percentile(values, 99.5), abs=0.01)


def test_percentile_of_all_values_is_minmax() -> None:
    values = np.random.default_rng(3).standard_normal(1000).astype(np.float32)
    assert find_range(of(values), "percentile", percentile=100.0) == find_range(of(values), "minmax")


def test_kl_keeps_the_bulk_and_drops_a_lone_outlier() -> None:
    values = np.concatenate([np.random.default_rng(4).standard_normal(50000), [12.0]]).astype(np.float32)
    low, high = find_range(of(values), "kl")
    assert high < 9
    assert np.mean((values >= low) & (values <= high)) > 0.99


def test_kl_is_not_misled_by_the_zeros_of_a_relu() -> None:
    values = np.maximum(np.random.default_rng(5).standard_normal(20000) - 1, 0).astype(np.float32)
    _, high = find_range(of(values), "kl", levels=127)
    assert np.mean(values[values > 0] <= high) > 0.95


def test_constant_tensor_is_an_empty_range() -> None:
    assert find_range(of(np.zeros(10, np.float32)), "mse") == (0, 0)


@pytest.mark.parametrize("ends", [(-4.0, 4.0), (-1.0, 2.0), (-0.1, 0.1)])
def test_the_expected_ratio_is_that_of_quantizing_the_values(ends: tuple[float, float]) -> None:
    values = np.random.default_rng(6).standard_normal(50000).astype(np.float32)
    noise = np.mean((quantized(values, ends) - values) ** 2)
    assert expected_sqnr_db(of(values), ends) == pytest.approx(10 * np.log10(np.mean(values**2) / noise), abs=0.05)


def test_what_is_constant_or_has_no_range_has_no_ratio() -> None:
    assert expected_sqnr_db(of(np.zeros(10, np.float32)), (0.0, 1.0)) is None
    assert expected_sqnr_db(of(np.ones(10, np.float32)), (0.0, 0.0)) is None
