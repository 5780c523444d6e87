from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optkit.measure.latency_report import Speedup
from optkit.measure.rounds import settled
from optkit.measure.starts import FEWEST_TO_STOP, Starts, over_starts

MOST = 12
RATIOS = st.lists(st.floats(0.1, 10), min_size=2, max_size=MOST)


def _speedups(ratios: list[float]) -> list[Speedup]:
    return [Speedup(ratio, (ratio * 0.99, ratio * 1.01)) for ratio in ratios]


@dataclass(frozen=True)
class Played:
    """What became of a measurement whose starts cost, and are timed for, what they should."""

    starts: int
    timed: float
    total: float


def _play(budget: float, costs: list[float], most_timed: float = math.inf) -> Played:
    starts, timed, total = Starts(budget), 0.0, 0.0
    while starts.another:
        cost = costs[min(starts.count, len(costs) - 1)]
        seconds = min(starts.started(cost), most_timed)
        starts.timed(seconds)
        timed, total = timed + seconds, total + cost + seconds
    return Played(starts.count, timed, total)


@given(st.floats(0, 60), st.lists(st.floats(0.01, 40), min_size=1, max_size=4))
def test_all_but_the_first_start_fit_into_the_time(budget: float, costs: list[float]) -> None:
    played = _play(budget, costs)
    assert 1 <= played.starts <= MOST
    # A start that costs more than those before it may end a little late.
    assert played.total <= costs[0] + budget + max(costs) - min(costs) + 1e-6


@pytest.mark.parametrize(
    ("cost", "starts", "timed"), [(0.1, 12, 23.9), (1.5, 12, 8.5), (4, 5, 9), (8, 3, 9), (17, 2, 8), (18, 1, 25)]
)
def test_what_a_start_costs_decides_how_many_there_are(cost: float, starts: int, timed: float) -> None:
    played = _play(25, [cost])
    assert played.starts == starts
    assert played.timed == pytest.approx(timed, abs=1e-6)


def test_a_first_start_from_a_cold_disk_does_not_decide() -> None:
    assert _play(25, [17]).starts == 2
    assert _play(25, [17, 3]).starts == 6


def test_starts_that_settle_early_leave_time_and_are_no_more_for_that() -> None:
    played = _play(25, [1.5], most_timed=0.1)
    assert played.starts == MOST
    assert played.total == pytest.approx(12 * 1.6)


def test_one_start_speaks_for_itself() -> None:
    alone = Speedup(1.5, (1.4, 1.7))
    assert over_starts([alone]) is alone


def test_bounds_are_students() -> None:
    found = over_starts(_speedups([1.0, math.e, math.e**2]))
    assert found.ratio == pytest.approx(math.e)
    t = (2 * 0.965 - 1) / math.sqrt(2 * 0.965 * 0.035)  # the quantile of 2 degrees of freedom has a closed form
    assert np.log(found.interval) == pytest.approx([1 - t / math.sqrt(3), 1 + t / math.sqrt(3)])


@given(RATIOS)
def test_swapping_the_roles_inverts(ratios: list[float]) -> None:
    there, back = over_starts(_speedups(ratios)), over_starts(_speedups([1 / ratio for ratio in ratios]))
    assert there.ratio == pytest.approx(1 / back.ratio, rel=1e-9)
    assert there.interval == pytest.approx([1 / bound for bound in reversed(back.interval)], rel=1e-6)


@given(RATIOS, st.floats(0.1, 10))
def test_a_candidate_that_is_faster_by_a_factor_has_all_numbers_times_that(ratios: list[float], factor: float) -> None:
    found, scaled = over_starts(_speedups(ratios)), over_starts(_speedups([ratio * factor for ratio in ratios]))
    assert scaled.ratio == pytest.approx(found.ratio * factor, rel=1e-9)
    assert scaled.interval == pytest.approx([bound * factor for bound in found.interval], rel=1e-6)


@given(RATIOS)
def test_the_order_of_starts_does_not_matter(ratios: list[float]) -> None:
    assert over_starts(_speedups(ratios)).interval == pytest.approx(over_starts(_speedups(sorted(ratios))).interval)


@pytest.mark.parametrize("spread", [0.005, 0.015, 0.02, 0.03])
@pytest.mark.parametrize("degrees", [3, 1000])
def test_bounds_err_as_rarely_as_they_say_however_soon_a_measurement_stops(spread: float, degrees: int) -> None:
    """Starts differ by noise that is normal, or has heavy tails; the first interval that is narrow counts."""
    random, runs, precision, true = np.random.default_rng(0), 1500, 0.02, 1.5
    noise = random.standard_t(degrees, (runs, MOST)) / math.sqrt(degrees / (degrees - 2))
    too_high = too_low = 0
    for ratios in (true * np.exp(spread * noise)).tolist():
        for count in range(FEWEST_TO_STOP, MOST + 1):
            found = over_starts(_speedups(ratios[:count]))
            if settled({"candidate": found}, precision):
                break
        too_high, too_low = too_high + (found.interval[0] > true), too_low + (found.interval[1] < true)
    # 5 % each at most: 75 of 1500, with a standard error of 8.4.
    assert too_high <= 100
    assert too_low <= 100
    assert too_high + too_low >= 60  # nor are they wider than they need be
