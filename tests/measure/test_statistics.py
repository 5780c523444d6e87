from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from optkit.measure.resampling import Rows
from optkit.measure.statistics import (
    UNBOUNDED,
    bootstrap_intervals,
    samples_to_settle,
    supported_percentiles,
    tango_bounds,
    tango_z,
    wilson_interval,
)

tables = st.tuples(st.integers(0, 12), st.integers(0, 12), st.integers(0, 40)).filter(lambda t: sum(t) > 0)


def test_tango_reproduces_a_published_interval() -> None:
    # Airway hyper-responsiveness, M. W. Fagerland et al., Statistics in Medicine 33 (2014): 1 against 7 of 21.
    assert tango_bounds(1, 7, 21, alpha=0.025) == pytest.approx((-0.517, -0.026), abs=5e-4)


@given(table=tables, drop=st.floats(-0.9, 0.9))
@settings(max_examples=60, deadline=None)
def test_tango_z_uses_the_maximum_likelihood_estimate(table: tuple[int, int, int], drop: float) -> None:
    lost, gained, same = table
    count = sum(table)
    # Brute force: the likelihood of (lost, gained, same) where lost_share = gained_share + drop.
    shares = np.linspace(max(0.0, -drop), (1 - drop) / 2, 40001)[1:-1]
    with np.errstate(divide="ignore"):
        likelihood = lost * np.log(shares + drop) + gained * np.log(shares) + same * np.log1p(-2 * shares - drop)
    best = shares[likelihood.argmax()]
    variance = count * (2 * best + drop * (1 - drop))
    assume(variance > 0.05)
    assert tango_z(lost, gained, count, drop) == pytest.approx(
        (lost - gained - count * drop) / math.sqrt(variance), rel=5e-3, abs=5e-3
    )


@given(table=tables, alpha=st.sampled_from([0.05, 0.025]))
@settings(deadline=None)
def test_tango_bounds_invert_the_test(table: tuple[int, int, int], alpha: float) -> None:
    lost, gained, _ = table
    count = sum(table)
    lower, upper = tango_bounds(lost, gained, count, alpha)
    z = stats.norm.ppf(1 - alpha)
    assert -1 <= lower <= (lost - gained) / count <= upper <= 1
    if upper < 1:
        assert tango_z(lost, gained, count, upper) == pytest.approx(-z, abs=1e-5)
    if lower > -1:
        assert tango_z(lost, gained, count, lower) == pytest.approx(z, abs=1e-5)


@given(table=tables)
@settings(deadline=None)
def test_tango_bounds_mirror_when_the_models_swap(table: tuple[int, int, int]) -> None:
    lost, gained, _ = table
    lower, upper = tango_bounds(lost, gained, sum(table))
    assert tango_bounds(gained, lost, sum(table)) == pytest.approx((-upper, -lower), abs=1e-9)


def test_tango_without_a_single_change_still_has_width() -> None:
    # At no discordant pair the bound has the closed form z² / (n + z²).
    z2 = stats.norm.ppf(0.95) ** 2
    assert tango_bounds(0, 0, 100)[1] == pytest.approx(z2 / (100 + z2), abs=1e-9)


def test_tango_upper_bound_covers() -> None:
    random = np.random.default_rng(0)
    draws = random.multinomial(200, [0.06, 0.03, 0.91], size=400)
    covered = [tango_bounds(lost, gained, 200)[1] >= 0.03 for lost, gained, _ in draws]
    assert 0.92 <= np.mean(covered) <= 0.98  # nominal 0.95; the standard error of 400 draws is 0.011


@given(successes=st.integers(0, 50), more=st.integers(0, 50))
@settings(deadline=None)
def test_wilson_is_scipys(successes: int, more: int) -> None:
    count = successes + more
    assume(count > 0)
    expected = stats.binomtest(successes, count).proportion_ci(method="wilson")
    assert wilson_interval(successes, count) == pytest.approx((expected.low, expected.high), abs=1e-9)


def _of_mean(scores: np.ndarray, alpha: float = 0.05, seed: int = 0) -> tuple[float, float]:
    (interval,) = bootstrap_intervals(
        lambda weights: (weights @ scores / weights.sum(axis=1))[:, None], Rows.single(len(scores)), [alpha], seed
    )
    return interval


def test_bootstrap_agrees_with_scipys_bca() -> None:
    scores = np.random.default_rng(0).exponential(size=60)
    expected = stats.bootstrap(
        (scores,), np.mean, method="BCa", n_resamples=20000, rng=np.random.default_rng(1)
    ).confidence_interval
    assert _of_mean(scores) == pytest.approx((expected.low, expected.high), rel=0.03)


def test_bootstrap_covers_a_skewed_mean() -> None:
    random = np.random.default_rng(2)
    covered = []
    for _ in range(40):
        low, high = _of_mean(random.exponential(size=50), alpha=0.1)
        covered.append(low <= 1.0 <= high)
    assert np.mean(covered) >= 0.78  # nominal 0.90; the standard error of 40 draws is 0.047


def test_bootstrap_is_seeded() -> None:
    scores = np.random.default_rng(0).normal(size=30)
    assert _of_mean(scores, seed=3) == _of_mean(scores, seed=3)
    assert _of_mean(scores, seed=3) != _of_mean(scores, seed=4)


def test_bootstrap_at_the_edges() -> None:
    assert _of_mean(np.zeros(9)) == UNBOUNDED
    assert _of_mean(np.full(20, 0.5)) == (0.5, 0.5)
    assert all(math.isnan(bound) for bound in _of_mean(np.array([np.nan] * 20)))


def test_a_draw_without_a_value_leaves_no_bound() -> None:
    def only_with_the_first(weights: np.ndarray) -> np.ndarray:
        return np.where(weights[:, :1] > 0, 1.0, np.nan)

    assert bootstrap_intervals(only_with_the_first, Rows.single(20), [0.05]) == [UNBOUNDED]


@given(counts=st.lists(st.integers(1, 40), min_size=2, max_size=5).filter(lambda counts: sum(counts) >= 20))
@settings(max_examples=20, deadline=None)
def test_equal_rows_may_be_drawn_together(counts: list[int]) -> None:
    rows = np.arange(len(counts)) ** 2.0
    (joined,) = bootstrap_intervals(
        lambda weights: (weights @ rows / weights.sum(axis=1))[:, None], Rows(np.array(counts)), [0.1]
    )
    apart = _of_mean(np.repeat(rows, counts), alpha=0.1)
    width = apart[1] - apart[0]
    assert joined == pytest.approx(apart, abs=0.15 * width + 1e-9)  # 2000 draws each: the ends differ by chance


def test_several_statistics_share_their_draws() -> None:
    scores = np.random.default_rng(0).normal(size=(30, 2))
    first, second = bootstrap_intervals(lambda weights: weights @ scores / 30, Rows.single(30), [0.05, 0.1])
    assert first == pytest.approx(_of_mean(scores[:, 0]), abs=1e-12)
    assert second == pytest.approx(_of_mean(scores[:, 1], alpha=0.1), abs=1e-12)


def test_jackknife_groups_give_the_same_acceleration() -> None:
    scores = np.random.default_rng(0).exponential(size=400)
    low, high = _of_mean(scores)
    expected = stats.bootstrap((scores,), np.mean, method="BCa", rng=np.random.default_rng(1)).confidence_interval
    assert (low, high) == pytest.approx((expected.low, expected.high), rel=0.02)


@pytest.mark.parametrize(
    ("count", "expected"),
    [(5, ()), (6, (50,)), (35, (50,)), (36, (50, 90)), (367, (50, 90)), (368, (50, 90, 99))],
)
def test_supported_percentiles(count: int, expected: tuple[float, ...]) -> None:
    assert supported_percentiles(count) == expected


@given(lost=st.integers(0, 3), count=st.integers(20, 60))
@settings(max_examples=30, deadline=None)
def test_samples_to_settle_settles(lost: int, count: int) -> None:
    def bounds(samples: int) -> tuple[float, float]:
        return tango_bounds(round(lost * samples / count), 0, samples)

    limit = lost / count + 0.005
    assume(bounds(count)[1] > limit)
    needed = samples_to_settle(bounds, limit, count)
    assert needed is not None
    assert needed > count
    assert bounds(needed)[1] <= limit or bounds(needed)[0] > limit
    assert bounds(int(needed * 0.9))[1] > limit


def test_a_drop_on_the_limit_is_never_settled() -> None:
    assert samples_to_settle(lambda n: (0.01 - 1 / n, 0.01 + 1 / n), 0.01 - 1e-12, 100) is None
