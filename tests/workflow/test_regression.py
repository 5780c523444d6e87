"""Verdicts against the last release."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from optkit.core.gates import Estimate, Gate, Status, Verdict
from optkit.core.results import Interval
from optkit.workflow.regression import Conditions, regressions
from optkit.workflow.releasing import release_of
from tests.report.conftest import timing, top1
from tests.workflow.released import RUN, changed

if TYPE_CHECKING:
    from optkit.core.release import MachineClass, Release
    from optkit.core.results import BaselineResult, CandidateResult

RELEASE = release_of(RUN)
TOP1 = {"top1": Gate(max_drop=0.01)}
OTHER_MODEL = "f" * 64
PASSED, FAILED, INCONCLUSIVE, UNMEASURED = Status.PASSED, Status.FAILED, Status.INCONCLUSIVE, Status.UNMEASURED


def judged(
    now: CandidateResult,
    gates: dict[str, Gate] | None = None,
    release: Release = RELEASE,
    original: BaselineResult = RUN.baseline,
    machine: MachineClass = RELEASE.machine,
    **sources: str,
) -> dict[str, Verdict]:
    given = RUN.provenance.sources | {name.replace("_", "."): digest for name, digest in sources.items()}
    here = Conditions(original.digest, given, machine)
    found = regressions(TOP1 if gates is None else gates, release, here, now)
    assert {verdict.rule for verdict in found} <= {"max_regression"}
    return {verdict.gate: verdict for verdict in found}


def with_timing(speedup: Estimate | None = RUN.candidates[0].speedup, **changes: Any) -> CandidateResult:  # noqa: ANN401  # fields of different types
    return changed(timing=replace(timing("onnxruntime", 0.5, 96 << 20), **changes), speedup=speedup)


def timed(speedup: Estimate, p50: float) -> CandidateResult:
    return with_timing(speedup, p50_ms=p50, samples_ms=((p50, p50),) * 8)


STEADY = release_of(replace(RUN, candidates=(timed(Estimate(3.1, 3.05, 3.15), 0.5),)))


def test_the_same_run_again_passes_by_the_defaults() -> None:
    found = judged(changed())
    assert {name: (verdict.limit, verdict.status) for name, verdict in found.items()} == {
        "top1": (0.01, PASSED), "size": (0.01, PASSED), "latency": (0.1, PASSED), "memory": (0.1, PASSED),
    }  # fmt: skip
    assert found["latency"].reason == (
        "speed-up 3.10x [2.90x, 3.30x], 3.10x [2.90x, 3.30x] in the baseline; p50 0.5 ms, 0.5 ms in the baseline"
    )


@pytest.mark.parametrize(
    ("speedup", "status"),
    [
        (Estimate(3.1, 3.05, 3.15), PASSED),
        (Estimate(4.0, 3.9, 4.1), PASSED),
        (Estimate(2.85, 2.78, 2.92), INCONCLUSIVE),
        (Estimate(2.0, 1.9, 2.1), FAILED),
        (Estimate(math.nan, math.nan, math.nan), FAILED),
    ],
)
def test_latency_is_judged_by_how_the_speedup_changed(speedup: Estimate, status: Status) -> None:
    slower = 0.5 * 3.1 / speedup.value
    assert judged(timed(speedup, slower), release=STEADY)["latency"].status is status


def test_a_slower_machine_alone_is_no_regression() -> None:
    found = judged(timed(Estimate(3.1, 3.05, 3.15), 5.0), release=STEADY)["latency"]
    assert found.status is PASSED
    assert found.reason.endswith("; p50 5 ms, 0.5 ms in the baseline")


def test_a_faster_original_alone_is_no_regression_on_the_same_machine() -> None:
    now = timed(Estimate(2.0, 1.95, 2.05), 0.5)
    assert judged(now, release=STEADY)["latency"].status is PASSED
    elsewhere = replace(RELEASE.machine, cpu="Other CPU")
    assert judged(now, release=STEADY, machine=elsewhere)["latency"].status is FAILED


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"threads": 4},
            "onnxruntime, threads=2, batch=8 then and with onnxruntime, threads=4, batch=8 now",
        ),
        ({"sizes": {"batch": 1}}, "batch=8 then and with onnxruntime, threads=2, batch=1 now"),
        ({"runtime": "openvino"}, "then and with openvino"),
    ],
)
def test_other_conditions_are_not_compared(changes: dict[str, Any], reason: str) -> None:
    verdict = judged(with_timing(**changes))["latency"]
    assert (verdict.status, verdict.accepted) == (UNMEASURED, False)
    assert reason in verdict.reason


def test_an_untimed_candidate_cannot_be_compared_with_a_timed_one() -> None:
    found = judged(changed(timing=None, speedup=None, untimed="there is no GPU"))
    assert {name: verdict.reason for name, verdict in found.items() if verdict.status is UNMEASURED} == {
        "latency": "there is no GPU", "memory": "there is no GPU",
    }  # fmt: skip


def test_what_was_never_timed_has_no_default() -> None:
    untimed = changed(timing=None, speedup=None, untimed="there is no GPU")
    release = release_of(replace(RUN, candidates=(untimed,)))
    assert set(judged(untimed, release=release)) == {"top1", "size"}
    asked = judged(changed(), {"latency": Gate(max_regression=0.1)}, release=release)["latency"]
    assert (asked.status, asked.reason) == (UNMEASURED, "the baseline holds no timing of it")


@pytest.mark.parametrize(("bytes_now", "status"), [(448_000, PASSED), (452_480, PASSED), (452_481, FAILED)])
def test_a_size_is_exact(bytes_now: int, status: Status) -> None:
    assert judged(changed(size_bytes=bytes_now))["size"].status is status


def test_memory_is_compared_in_bytes() -> None:
    assert judged(with_timing(peak_rss_bytes=120 << 20))["memory"].estimate == Estimate.exact(0.25)


def lossy(drop: Estimate) -> CandidateResult:
    return changed(digest=OTHER_MODEL, metrics=(top1(drop),))


def test_a_loss_is_compared_with_the_loss_of_the_release() -> None:
    found = judged(lossy(Estimate(0.012, 0.0085, 0.0155)))["top1"]
    assert found.estimate is not None
    assert found.estimate.value == pytest.approx(0.010)
    # Both runs are uncertain: each by 0.0035.
    assert found.estimate.upper == pytest.approx(0.010 + 0.0035 * math.sqrt(2))
    assert found.status is INCONCLUSIVE
    assert judged(lossy(Estimate(0.05, 0.045, 0.055)))["top1"].status is FAILED
    assert judged(lossy(Estimate(0.0021, 0.001, 0.0035)))["top1"].status is PASSED


def test_the_same_bytes_on_the_same_samples_leave_nothing_to_chance() -> None:
    assert judged(changed(metrics=(top1(Estimate(0.002, -0.9, 0.9)),)))["top1"].estimate == Estimate.exact(0.0)


def test_a_metric_without_a_limit_is_not_judged() -> None:
    assert "top1" not in judged(changed(), {})
    assert judged(changed(), {"top1": Gate(min=0.9)}).keys() == {"size", "latency", "memory"}


def test_an_explicit_limit_goes_first() -> None:
    gates = {"top1": Gate(max_drop=0.01, max_regression=0.001), "size": Gate(max_regression=0.5)}
    found = judged(changed(size_bytes=600_000), gates)
    assert (found["top1"].limit, found["size"].limit, found["size"].status) == (0.001, 0.5, PASSED)


def test_other_data_is_not_compared() -> None:
    verdict = judged(changed(), data_evaluation="0" * 64)["top1"]
    assert (verdict.status, verdict.reason) == (UNMEASURED, "data.evaluation is not what the baseline was judged on")


def test_another_kind_is_not_compared() -> None:
    other = changed(metrics=(replace(top1(), kind="agreement"),))
    assert judged(other)["top1"].reason == "it was of kind accuracy in the baseline"


def test_a_metric_that_the_release_lacks_is_unmeasured_where_it_is_asked_for() -> None:
    found = judged(changed(), {"f1": Gate(max_regression=0.1)})["f1"]
    assert (found.status, found.reason) == (UNMEASURED, "the baseline holds no f1 of quantize")


def test_a_candidate_that_the_release_lacks() -> None:
    assert judged(changed(name="new")) == {}
    found = judged(changed(name="new"), {"latency": Gate(max_regression=0.1)})["latency"]
    assert (found.status, found.reason) == (UNMEASURED, "the baseline holds no candidate new")


def test_after_a_training_values_are_compared_instead_of_losses() -> None:
    retrained = replace(RUN.baseline, digest="9" * 64)
    worse = changed(metrics=(replace(top1(), candidate=Interval(0.9, 0.88, 0.92)),))
    found = judged(worse, original=retrained)["top1"]
    assert found.estimate is not None
    assert found.estimate.value == pytest.approx(0.982 - 0.9)
    assert found.status is FAILED
    lower_is_better = replace(top1(), kind="mse", higher_is_better=False)
    release = release_of(replace(RUN, candidates=(changed(metrics=(lower_is_better,)),)))
    smaller = changed(metrics=(replace(lower_is_better, candidate=Interval(0.9, 0.88, 0.92)),))
    estimate = judged(smaller, release=release, original=retrained)["top1"].estimate
    assert estimate is not None
    assert estimate.value == pytest.approx(0.9 - 0.982)


def test_what_compares_with_the_original_means_nothing_against_another() -> None:
    gates = {"cosine": Gate(max_regression=0.1)}
    found = judged(changed(), gates, original=replace(RUN.baseline, digest="9" * 64))["cosine"]
    assert found.reason.startswith("the original is another one, and this metric compares with it")


def test_leniency_is_that_of_the_gate() -> None:
    gates = {"latency": Gate(min_speedup=1.0, inconclusive="pass", unmeasured="pass")}
    assert judged(timed(Estimate(2.85, 2.78, 2.92), 0.55), gates, STEADY)["latency"].accepted
    assert judged(with_timing(threads=4), gates)["latency"].accepted
    assert not judged(timed(Estimate(2.0, 1.9, 2.1), 0.8), gates, STEADY)["latency"].accepted
