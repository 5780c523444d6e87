from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from optkit.report.html.sections.throughput import pareto

POINTS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=12)


def beats(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one != other and one[0] <= other[0] and one[1] >= other[1]


@given(points=POINTS)
def test_the_front_is_what_nothing_beats(points: list[tuple[float, float]]) -> None:
    expected = {point for point in points if not any(beats(each, point) for each in points)}
    assert set(pareto(points)) == expected
    assert pareto(points) == sorted(expected)
