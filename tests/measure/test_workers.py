from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optkit.measure.workers import runs_in_a_turn

SECONDS = st.floats(1e-5, 10)


@pytest.mark.parametrize(
    ("own", "slowest", "runs"),
    [
        (0.0005, 0.0005, 4),
        (0.0003, 0.0005, 4),  # alike: as many as the slower one
        (0.0001, 0.0005, 20),
        (0.00001, 0.0005, 100),  # no more than that
        (0.003, 0.1, 1),
        (0.0005, 0.1, 4),  # a turn of 2 ms, however long the other's is
    ],
)
def test_turns_are_two_milliseconds_long(own: float, slowest: float, runs: int) -> None:
    assert runs_in_a_turn(own, slowest) == runs


@given(st.floats(1e-5, 0.002), st.floats(0.51, 1))
def test_subjects_that_are_about_as_fast_make_as_many_runs(slowest: float, share: float) -> None:
    assert runs_in_a_turn(share * slowest, slowest) == runs_in_a_turn(slowest, slowest)


@given(SECONDS, SECONDS)
def test_a_turn_is_no_longer_than_a_run_or_some_milliseconds(one: float, other: float) -> None:
    own, slowest = sorted((one, other))
    assert runs_in_a_turn(own, slowest) * own <= max(own, 0.003)
