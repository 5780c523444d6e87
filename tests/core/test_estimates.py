from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optkit.core.estimates import difference, quotient
from optkit.core.gates import Estimate

positive = st.floats(0.01, 100)


@st.composite
def estimates(draw: st.DrawFn) -> Estimate:
    low, middle, high = sorted(draw(st.tuples(positive, positive, positive)))
    return Estimate(middle, low, high)


def test_errors_of_both_add_up_as_squares() -> None:
    found = difference(Estimate(5.0, 2.0, 8.0), Estimate(1.0, -3.0, 5.0))
    assert (found.value, found.lower, found.upper) == (4.0, -1.0, 9.0)


@given(first=estimates(), second=estimates())
def test_the_other_way_round_is_the_mirror_image(first: Estimate, second: Estimate) -> None:
    there, back = difference(first, second), difference(second, first)
    assert (back.value, back.lower, back.upper) == pytest.approx((-there.value, -there.upper, -there.lower))
    ratio, inverse = quotient(first, second), quotient(second, first)
    assert inverse.value == pytest.approx(1 / ratio.value)
    assert inverse.lower == pytest.approx(1 / ratio.upper)


@given(first=estimates(), second=estimates())
def test_bounds_lie_around_the_value_and_within_the_worst_case(first: Estimate, second: Estimate) -> None:
    found = quotient(first, second)
    assert found.lower <= found.value * (1 + 1e-9)
    assert found.upper >= found.value * (1 - 1e-9)
    assert found.lower >= first.lower / second.upper * (1 - 1e-9)
    assert found.upper <= first.upper / second.lower * (1 + 1e-9)


@given(first=estimates(), second=positive)
def test_an_exact_number_only_shifts_or_scales(first: Estimate, second: float) -> None:
    shifted, scaled = difference(first, Estimate.exact(second)), quotient(first, Estimate.exact(second))
    assert shifted.upper == pytest.approx(first.upper - second, abs=1e-9)
    assert scaled.lower == pytest.approx(first.lower / second)


def test_what_has_no_bound_or_is_no_number_stays_so() -> None:
    unbounded = difference(Estimate(0.0, -math.inf, math.inf), Estimate.exact(0.0))
    assert (unbounded.lower, unbounded.upper) == (-math.inf, math.inf)
    assert quotient(Estimate(1.0, 0.0, math.inf), Estimate.exact(2.0)).lower == 0.0
    nan = Estimate(math.nan, math.nan, math.nan)
    assert all(math.isnan(value) for value in (difference(nan, nan).upper, quotient(nan, Estimate.exact(1.0)).lower))
