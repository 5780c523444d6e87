"""Verdicts: unrounded, NaN fails, and nothing but approval makes an `Approved`."""

# ruff: noqa: E501  # whole lines, as a user sees them
from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from optkit.core.artifact import Artifact
from optkit.core.errors import GateFailed
from optkit.core.gates import RULES, Approved, Estimate, Gate, Status, Verdict, approve, judge

ARTIFACT = Artifact("onnx", "ab" * 32)
PASSED, FAILED, INCONCLUSIVE, UNMEASURED = Status.PASSED, Status.FAILED, Status.INCONCLUSIVE, Status.UNMEASURED
NAN = math.nan


def gate(rule: str, limit: float, **more: Any) -> Gate:  # noqa: ANN401  # fields of different types
    return Gate(**{rule: limit, **more})


def verdict(demand: Gate, measured: Estimate | str) -> Verdict:
    (rule,) = demand.rules()
    (only,) = judge("top1", demand, {rule: measured})
    return only


@pytest.mark.parametrize(
    ("demand", "estimate", "status"),
    [
        (Gate(max_drop=0.01), Estimate.exact(0.01), PASSED),
        (Gate(max_drop=0.01), Estimate.exact(0.010000001), FAILED),
        (Gate(max_drop=0.01), Estimate.exact(math.nextafter(0.01, 1)), FAILED),
        (Gate(max_drop=0.01), Estimate.exact(-0.5), PASSED),
        (Gate(max_drop=0.01), Estimate(0.0, -0.01, 0.01), PASSED),
        (Gate(max_drop=0.01), Estimate(0.0, -0.01, 0.010000001), INCONCLUSIVE),
        (Gate(max_drop=0.01), Estimate(0.02, 0.01, 0.03), INCONCLUSIVE),
        (Gate(max_drop=0.01), Estimate(0.02, 0.010000001, 0.03), FAILED),
        (Gate(min=0.9), Estimate.exact(0.9), PASSED),
        (Gate(min=0.9), Estimate.exact(0.8999999), FAILED),
        (Gate(min=0.9), Estimate(0.95, 0.9, 1.0), PASSED),
        (Gate(min=0.9), Estimate(0.95, 0.89, 1.0), INCONCLUSIVE),
        (Gate(min=0.9), Estimate(0.8, 0.7, 0.89), FAILED),
        (Gate(max=2.0), Estimate(1.0, 0.5, 2.0), PASSED),
        (Gate(max=2.0), Estimate(3.0, 2.5, 4.0), FAILED),
        (Gate(min_speedup=1.5), Estimate(2.0, 1.5, 3.0), PASSED),
        (Gate(min_speedup=1.5), Estimate(2.0, 1.4, 3.0), INCONCLUSIVE),
        (Gate(min_speedup=1.5), Estimate(1.2, 1.1, 1.4), FAILED),
        (Gate(max_ratio=0.4), Estimate.exact(0.4), PASSED),
        (Gate(max_ratio=0.4), Estimate.exact(0.41), FAILED),
        (Gate(max_drop=0.0), Estimate.exact(-0.0), PASSED),
        (Gate(max_drop=0.01), Estimate(0.0, -math.inf, math.inf), INCONCLUSIVE),
        (Gate(max_drop=math.inf), Estimate.exact(5.0), PASSED),
    ],
)
def test_a_bound_is_compared_unrounded(demand: Gate, estimate: Estimate, status: Status) -> None:
    found = verdict(demand, estimate)
    assert found.status is status
    assert found.accepted is (status is PASSED)


@pytest.mark.parametrize("rule", sorted(RULES))
@pytest.mark.parametrize("estimate", [
    Estimate(NAN, 0.0, 0.0), Estimate(0.0, NAN, 0.0), Estimate(0.0, 0.0, NAN), Estimate.exact(NAN),
    Estimate(NAN, -math.inf, math.inf),
])  # fmt: skip
@pytest.mark.parametrize("limit", [0.01, math.inf, -math.inf])
def test_nan_fails_every_rule_even_leniently(rule: str, estimate: Estimate, limit: float) -> None:
    found = verdict(gate(rule, limit, inconclusive="pass", unmeasured="pass"), estimate)
    assert (found.status, found.accepted) == (FAILED, False)


@pytest.mark.parametrize("rule", sorted(RULES))
def test_a_limit_of_nan_fails(rule: str) -> None:
    found = verdict(gate(rule, NAN, inconclusive="pass"), Estimate.exact(0.0))
    assert (found.status, found.accepted) == (FAILED, False)


def test_an_inconclusive_verdict_passes_only_on_request() -> None:
    wide = Estimate(0.0, -1.0, 1.0, samples_needed=4200)
    assert not verdict(Gate(max_drop=0.01), wide).accepted
    assert verdict(Gate(max_drop=0.01, inconclusive="pass"), wide).accepted
    assert verdict(Gate(max_drop=0.01), wide).reason == "about 4200 samples would settle it"


def test_how_many_samples_is_said_only_where_it_helps() -> None:
    assert verdict(Gate(max_drop=0.01), Estimate(0.0, 0.0, 0.0, samples_needed=9)).reason == ""


def test_an_unmeasured_verdict_passes_only_on_request() -> None:
    strict = verdict(Gate(min_speedup=1.5), "there is no GPU")
    assert (strict.status, strict.accepted, strict.reason) == (UNMEASURED, False, "there is no GPU")
    assert strict.estimate is None
    assert verdict(Gate(min_speedup=1.5, unmeasured="pass"), "there is no GPU").accepted
    assert not verdict(Gate(min_speedup=1.5, inconclusive="pass"), "there is no GPU").accepted


def test_leniency_does_not_reach_a_failure() -> None:
    assert not verdict(Gate(max_drop=0.01, inconclusive="pass", unmeasured="pass"), Estimate.exact(0.02)).accepted


def test_each_rule_of_a_gate_is_judged() -> None:
    found = judge("top1", Gate(max_drop=0.01, min=0.9), {"max_drop": Estimate.exact(0.0), "min": Estimate.exact(0.5)})
    assert [(one.rule, one.status) for one in found] == [("max_drop", PASSED), ("min", FAILED)]


def test_a_limit_of_zero_is_a_rule() -> None:
    assert Gate(max_drop=0.0).rules() == {"max_drop": 0.0}
    assert Gate().rules() == {}


numbers = st.floats(-10, 10)


@given(values=st.tuples(numbers, numbers, numbers), limit=numbers, rule=st.sampled_from(sorted(RULES)))
def test_the_status_is_what_the_bounds_say(values: tuple[float, float, float], limit: float, rule: str) -> None:
    low, middle, high = sorted(values)
    status = verdict(gate(rule, limit), Estimate(middle, low, high)).status
    # Judged by brute force over the ends of the interval: both good, neither good, or one of them.
    good = [number <= limit if RULES[rule].upper else number >= limit for number in (low, high)]
    assert status is (PASSED if all(good) else INCONCLUSIVE if any(good) else FAILED)


@given(values=st.tuples(numbers, numbers, numbers), limit=numbers, rule=st.sampled_from(sorted(RULES)))
def test_a_narrower_interval_never_turns_a_verdict_round(
    values: tuple[float, float, float], limit: float, rule: str
) -> None:
    low, middle, high = sorted(values)
    wide = verdict(gate(rule, limit), Estimate(middle, low, high)).status
    assume(wide is not INCONCLUSIVE)
    assert verdict(gate(rule, limit), Estimate.exact(middle)).status is wide


@given(value=numbers, limit=numbers)
def test_an_exact_number_is_never_inconclusive(value: float, limit: float) -> None:
    assert verdict(Gate(max_drop=limit), Estimate.exact(value)).status in {PASSED, FAILED}


def test_approval_needs_every_verdict() -> None:
    good, bad = verdict(Gate(max_drop=0.01), Estimate.exact(0.0)), verdict(Gate(min=0.9), Estimate.exact(0.5))
    assert approve("int8", ARTIFACT, [good]) == Approved("int8", ARTIFACT, (good,))
    with pytest.raises(GateFailed) as caught:
        approve("int8", ARTIFACT, [good, bad])
    assert str(caught.value) == "int8 is not approved:\n  top1.min 0.9: failed, measured 0.5"
    assert caught.value.exit_code == 3


def test_a_refusal_names_every_gate_with_its_numbers() -> None:
    refused = [
        verdict(Gate(max_drop=0.01), Estimate(0.005, -0.002, 0.012, 900)),
        verdict(Gate(max_ratio=0.4), Estimate.exact(0.5)),
        verdict(Gate(min_speedup=1.5), "no GPU here"),
    ]
    with pytest.raises(GateFailed) as caught:
        approve("int8", ARTIFACT, refused)
    assert str(caught.value).splitlines()[1:] == [
        "  top1.max_drop 0.01: inconclusive, measured 0.005 (95 % bounds -0.002 … 0.012); about 900 samples would settle it",
        "  top1.max_ratio 0.4: failed, measured 0.5",
        "  top1.min_speedup 1.5: unmeasured (no GPU here)",
    ]


def test_a_number_just_above_the_limit_does_not_look_like_the_limit() -> None:
    found = verdict(Gate(max_drop=0.01), Estimate.exact(0.010000001))
    assert str(found) == "top1.max_drop 0.01: failed, measured 0.010000001"
