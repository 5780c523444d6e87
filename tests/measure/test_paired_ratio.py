from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from optkit.measure.paired_ratio import hodges_lehmann, paired_ratio, signed_rank_interval

ALPHA = 0.05


def _turns(times: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> list[list[float]]:
    turns: list[list[float]] = times.tolist()
    return turns


def _noise(
    random: np.random.Generator, rounds: int, persistence: float
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Returns heavy-tailed noise of turns in which each remembers a share of the one before."""
    shocks = 0.05 * random.standard_t(3, 2 * rounds)
    noise = np.zeros(2 * rounds)
    for at in range(1, 2 * rounds):
        noise[at] = persistence * noise[at - 1] + shocks[at]
    return noise


@given(values=st.lists(st.integers(-100, 100).map(float), min_size=6, max_size=20, unique=True))
@settings(max_examples=40, deadline=None)
def test_bounds_invert_wilcoxons_test(values: list[float]) -> None:
    array = np.array(values) + np.linspace(0, 1e-3, len(values))  # no ties between differences
    lower, _ = signed_rank_interval(array, ALPHA)
    for shift, is_rejected in ((lower - 1e-5, True), (lower + 1e-5, False)):
        p = stats.wilcoxon(array - shift, alternative="greater", method="exact").pvalue
        assert (p <= ALPHA) == is_rejected


@pytest.mark.parametrize(("count", "alpha"), [(4, 0.04), (9, 0.001)])
def test_too_few_values_have_no_bounds(count: int, alpha: float) -> None:
    values = np.arange(count, dtype=float)
    assert signed_rank_interval(values, alpha) == (-math.inf, math.inf)
    assert signed_rank_interval(np.append(values, count), alpha) == (0.0, count)
    assert paired_ratio([[2.0]] * 2 * count, [[1.0]] * 2 * count, alpha).interval == (0.0, math.inf)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30), st.floats(-1e3, 1e3))
def test_hodges_lehmann_moves_with_the_values(values: list[float], shift: float) -> None:
    array = np.array(values)
    moved = hodges_lehmann(array + shift) - hodges_lehmann(array)
    assert moved == pytest.approx(shift, abs=1e-6)
    assert hodges_lehmann(-array) == pytest.approx(-hodges_lehmann(array), abs=1e-6)


def test_outliers_are_kept_and_do_not_decide() -> None:
    values = np.append(np.zeros(15), 1e9)
    assert hodges_lehmann(values) == 0.0
    assert signed_rank_interval(values, ALPHA) == (0.0, 0.0)


def test_swapping_the_subjects_inverts_the_ratio() -> None:
    random = np.random.default_rng(0)
    one, two = (_turns(random.lognormal(0, 0.2, (80, 3))) for _ in range(2))
    there, back = paired_ratio(one, two, ALPHA), paired_ratio(two, one, ALPHA)
    assert there.ratio == pytest.approx(1 / back.ratio, rel=1e-9)
    assert there.interval == pytest.approx([1 / bound for bound in reversed(back.interval)], rel=1e-9)


def test_what_drifts_linearly_within_a_round_cancels() -> None:
    # Four turns a round, A B B A, on a machine that slows down by a tenth from each to the next, then starts anew.
    speed = np.exp(0.1 * np.arange(4))
    baseline, candidate = 3.0 * speed[[0, 3]], 2.0 * speed[[1, 2]]
    speedup = paired_ratio(_turns(np.tile(baseline, 20)[:, None]), _turns(np.tile(candidate, 20)[:, None]), ALPHA)
    assert [speedup.ratio, *speedup.interval] == pytest.approx([1.5] * 3, rel=1e-9)


@pytest.mark.parametrize("persistence", [0.0, 0.6])
def test_bounds_err_as_rarely_as_they_say(persistence: float) -> None:
    random = np.random.default_rng(1)
    too_high = too_low = 0
    for _ in range(400):
        noise = [_noise(random, 200, persistence) for _ in range(2)]
        baseline, candidate = (base * np.exp(each)[:, None] for base, each in zip((3.0, 2.0), noise, strict=True))
        lower, upper = paired_ratio(_turns(baseline), _turns(candidate), ALPHA).interval
        too_high, too_low = too_high + (lower > 1.5), too_low + (upper < 1.5)
    # 5 % each: 20 of 400, with a standard error of 4.4.
    assert too_high <= 32
    assert too_low <= 32
    assert too_high + too_low >= 15  # nor are they wider than they need be
