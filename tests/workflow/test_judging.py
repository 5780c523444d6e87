from __future__ import annotations

import math

import pytest

from optkit.core.gates import Estimate, Gate, Status
from optkit.core.results import Interval, MetricResult, Timing
from optkit.workflow.judging import verdicts

TOP1 = MetricResult(
    name="top1",
    kind="accuracy",
    data="evaluation",
    samples=1000,
    baseline=Interval(0.98, 0.97, 0.99),
    candidate=Interval(0.975, 0.965, 0.985),
    drop=Estimate(0.005, 0.001, 0.009),
)


def timing(peak: int) -> Timing:
    return Timing("torch", 2, {"batch": 8}, 1.0, None, None, ((1.0,),), {8: 8000.0}, 0.1, 2.0, peak)


def statuses(gates: dict[str, Gate], speedup: Estimate | str = "no device") -> dict[str, Status]:
    found = verdicts(gates, [TOP1], 0.25, speedup, (timing(200), timing(50)))
    return {f"{verdict.gate}.{verdict.rule}": verdict.status for verdict in found}


def test_every_rule_is_judged_on_its_own_number() -> None:
    gates = {
        "top1": Gate(max_drop=0.01, min=0.96, max=0.99),
        "latency": Gate(min_speedup=1.5),
        "size": Gate(max_ratio=0.3),
        "memory": Gate(max_ratio=0.3),
    }
    assert set(statuses(gates, Estimate(2.0, 1.8, 2.2)).values()) == {Status.PASSED}
    assert len(statuses(gates)) == 6


@pytest.mark.parametrize(("limit", "expected"), [(0.009, "passed"), (0.005, "inconclusive"), (0.0009, "failed")])
def test_a_drop_is_judged_by_its_bounds(limit: float, expected: str) -> None:
    assert statuses({"top1": Gate(max_drop=limit)}) == {"top1.max_drop": Status(expected)}


@pytest.mark.parametrize(("limit", "expected"), [(0.25, "passed"), (0.2499, "failed")])
def test_a_size_is_exact(limit: float, expected: str) -> None:
    assert statuses({"size": Gate(max_ratio=limit)}) == {"size.max_ratio": Status(expected)}


def test_an_untimed_candidate_has_an_unmeasured_latency() -> None:
    assert statuses({"latency": Gate(min_speedup=1.0)}) == {"latency.min_speedup": Status.UNMEASURED}


def test_a_speedup_that_is_not_a_number_fails() -> None:
    nan = Estimate(math.nan, math.nan, math.nan)
    assert statuses({"latency": Gate(min_speedup=1.0)}, nan) == {"latency.min_speedup": Status.FAILED}
