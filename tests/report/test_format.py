from __future__ import annotations

from dataclasses import replace
from math import inf, nan
from xml.etree import ElementTree as ET

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from optkit.core.gates import RULES, Estimate, Gate, Status, Verdict, judge
from optkit.core.results import Interval, MetricResult
from optkit.report import format as show
from optkit.report.judgement import decision, demand, measured, remark, shortfall
from tests.report.conftest import timing


def verdict(rule: str, limit: float, estimate: Estimate | str) -> Verdict:
    return judge("top1", Gate(**{rule: limit}), {rule: estimate})[0]  # type: ignore[arg-type]  # rules are fields


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.00 KiB"),
        (1536, "1.50 KiB"),
        (5 << 20, "5.00 MiB"),
        (3 << 50, "3072.00 TiB"),
        (None, "-"),
    ],
)
def test_size(count: int | None, text: str) -> None:
    assert show.size(count) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0123456, "0.01235"),
        (123456.7, "123457"),
        (1e12, "1e+12"),
        (999.96, "1000"),
        (nan, "NaN"),
        (inf, "infinite"),
        (2.0, "2"),
    ],
)
def test_number(value: float, text: str) -> None:
    assert show.number(value) == text


@pytest.mark.parametrize(("value", "text"), [(0.04, "0.0 s"), (59.0, "59.0 s"), (83.25, "1 min 23 s")])
def test_seconds(value: float, text: str) -> None:
    assert show.seconds(value) == text


def test_absent_values_are_dashes() -> None:
    shown = (show.milliseconds(None), show.rate(None), show.ratio(None), show.speedup(None))
    assert set(shown) == {"-"}


@pytest.mark.parametrize(("above", "below"), [(None, 1.0), (1.0, None), (1.0, 0.0)])
def test_quotients_without_meaning(above: float | None, below: float | None) -> None:
    assert show.quotient(above, below) is None


def test_shares_are_percent_and_other_metrics_are_numbers() -> None:
    value = Interval(0.98765, 0.97, 1.0)
    assert show.interval(value, "accuracy") == "98.77 % [97.00, 100.00]"
    assert show.interval(value, "cosine") == "0.9877 [0.97, 1]"
    assert show.interval(Interval(nan, -inf, inf), "accuracy") == "NaN % [-infinite, infinite]"


def test_drops() -> None:
    metric = MetricResult("top1", "accuracy", "evaluation", 9, None, Interval(0, 0, 0), Estimate(-1e-6, -0.01, 0.02))
    assert show.drop(metric) == "drop 0.00 points [-1.00, 2.00]"
    assert show.drop(replace(metric, drop=Estimate.exact(0.005))) == "drop 0.50 points"
    assert show.drop(replace(metric, kind="rmse")) == "drop -1e-06 [-0.01, 0.02]"


@given(st.text(alphabet=st.characters(exclude_categories=[])))
def test_clean_text_is_printable_and_fits_xml(text: str) -> None:
    cleaned = show.clean(text)
    assert cleaned.replace("\n", "").replace("\t", "").isprintable()
    assert show.clean(cleaned) == cleaned
    ET.fromstring(f"<a>{''.join(char for char in cleaned if char not in '<&>')}</a>")  # noqa: S314  # made here


@given(st.text())
def test_a_cell_has_no_line_break(text: str) -> None:
    assert "\n" not in show.one_line(text)


def test_demands_have_a_direction() -> None:
    assert demand(verdict("max_drop", 0.01, Estimate.exact(0.0))) == "<= 0.01"
    assert demand(verdict("min", 0.97, Estimate.exact(0.99))) == ">= 0.97"
    assert demand(verdict("max", 0.012345678, Estimate.exact(0.0))) == "<= 0.012345678"


def test_words_of_a_verdict() -> None:
    missed = verdict("min", 0.97, Estimate(0.9, 0.88, 0.92))
    assert (decision(missed), measured(missed), remark(missed)) == ("failed", "0.9 [0.88, 0.92]", "missed by 0.07")
    open_ = verdict("min", 0.97, Estimate(0.98, 0.96, 0.99, 400))
    assert remark(open_) == "the 95 % bound 0.96 misses by 0.01; about 400 samples would settle it"
    absent = verdict("min", 0.97, "no GPU")
    assert (decision(absent), measured(absent), remark(absent)) == ("unmeasured", "-", "no GPU")
    assert decision(replace(absent, accepted=True)) == "unmeasured, accepted by the recipe"


@pytest.mark.parametrize("bounds", [(nan, nan, nan), (0.001, nan, 0.002), (0.001, 0.0, nan)])
def test_nan_is_called_so(bounds: tuple[float, float, float]) -> None:
    broken = verdict("max_drop", 0.01, Estimate(*bounds))
    assert broken.status is Status.FAILED
    assert shortfall(broken) == "what was measured is not a number"


@given(
    rule=st.sampled_from(sorted(RULES)),
    limit=st.floats(-10, 10),
    points=st.tuples(*[st.floats(-10, 10)] * 3),
)
def test_a_missed_limit_is_never_missed_by_less_than_nothing(
    rule: str, limit: float, points: tuple[float, float, float]
) -> None:
    low, value, high = sorted(points)
    judged = verdict(rule, limit, Estimate(value, low, high))
    assume(judged.status is not Status.PASSED)
    text = shortfall(judged)
    assert float(text.rsplit(" ", 1)[1]) > 0


def test_one_start_is_said_not_to_speak_for_others() -> None:
    taken = replace(timing("torch", 1.0, 1), starts=1, measuring_seconds=75.2)
    assert show.starts(taken) == "in one start, beyond which its bounds do not hold, 1 min 15 s for each candidate"
    assert show.starts(replace(taken, starts=8)) == "in 8 starts, 1 min 15 s for each candidate"
    assert show.starts(replace(taken, starts=8, measuring_seconds=0.0)) == "in 8 starts"
