from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from optkit.measure.pareto import pareto_front

costs = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=12)


def test_what_another_beats_in_everything_is_off_the_front() -> None:
    slow_and_little, fast, much, between = (5.0, -1.0), (1.0, -2.0), (4.0, -9.0), (3.0, -5.0)
    assert pareto_front([slow_and_little, fast, much, between]) == [False, True, True, True]


def test_equal_options_stand_or_fall_together() -> None:
    assert pareto_front([(1, 1), (1, 1), (1, 2)]) == [True, True, False]


def test_nan_is_worse_than_any_number() -> None:
    assert pareto_front([(math.nan, 1), (5, 1)]) == [False, True]
    assert pareto_front([(math.nan, 0), (5, 1)]) == [True, True]


@given(costs)
def test_whatever_is_off_the_front_is_beaten_by_something_on_it(options: list[tuple[int, ...]]) -> None:
    front = pareto_front(options)
    assert any(front)
    best = [option for option, is_on in zip(options, front, strict=True) if is_on]
    for option, is_on in zip(options, front, strict=True):
        beaten = any(all(a <= b for a, b in zip(each, option, strict=True)) and each != option for each in best)
        assert beaten != is_on
