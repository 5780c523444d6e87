"""Which candidate is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from optkit.core.gates import Estimate, Gate, judge
from optkit.core.objective import Objective
from optkit.workflow.choosing import choose
from tests.report.conftest import timing
from tests.workflow.released import changed

if TYPE_CHECKING:
    from optkit.core.results import CandidateResult, Choice

REFUSED = tuple(judge("size", Gate(max_ratio=0.1), {"max_ratio": Estimate.exact(0.5)}))


def made(name: str, speedup: float, *, spread: float = 0.05, size: int = 1000) -> CandidateResult:
    estimate = Estimate(speedup, speedup - spread, speedup + spread)
    return changed(name=name, speedup=estimate, size_bytes=size, timing=timing("onnxruntime", 8 / speedup, 1 << 20))


def kept(objective: Objective, *candidates: CandidateResult, **unserved: str) -> Choice:
    return choose(objective, candidates, unserved, "machine")


def test_the_fastest_is_kept() -> None:
    choice = kept(Objective(), made("slow", 2.0), made("fast", 4.0))
    assert (choice.objective, choice.kept, choice.machine) == ("min_latency", ("fast",), "machine")
    assert choice.why == (
        "fast kept for min_latency: speed-up 4.00x [3.95x, 4.05x] over the original; "
        "slow has speed-up 2.00x [1.95x, 2.05x]"
    )
    assert choice.left_out == {"slow": "has speed-up 2.00x [1.95x, 2.05x]"}


def test_of_those_that_are_not_told_apart_the_first_is_kept() -> None:
    first, second = made("first", 4.0), made("second", 4.08)
    assert kept(Objective(), first, second).kept == ("first",)
    assert "not told apart from second, which the recipe names later" in kept(Objective(), first, second).why
    assert kept(Objective(), second, first).kept == ("second",)
    assert kept(Objective(), first, made("second", 4.11)).kept == ("second",)


def test_what_holds_no_gate_or_serves_nobody_is_out_however_fast() -> None:
    refused = changed(name="refused", verdicts=REFUSED, approved=False)
    choice = kept(
        Objective(), refused, made("alien", 9.0), made("plain", 1.0), alien="triton runs models in onnxruntime"
    )
    assert choice.kept == ("plain",)
    assert choice.left_out == {
        "refused": "does not hold its gates (size.max_ratio)",
        "alien": "cannot be served (triton runs models in onnxruntime)",
    }


def test_what_was_not_timed_can_only_be_the_smallest() -> None:
    untimed = changed(name="engine", timing=None, speedup=None, untimed="there is no GPU", size_bytes=10)
    choice = kept(Objective(), untimed, made("cpu", 2.0))
    assert (choice.kept, choice.left_out) == (("cpu",), {"engine": "was not timed (there is no GPU)"})
    assert kept(Objective("min_size"), untimed, made("cpu", 2.0)).kept == ("engine",)


def test_nothing_is_kept_if_nothing_fits() -> None:
    choice = kept(Objective(), changed(name="bad", verdicts=REFUSED, approved=False))
    assert (choice.kept, choice.why) == ((), "nothing is kept: bad does not hold its gates (size.max_ratio)")


# A run takes twice p50 with either batch, and p50 is 8 ms over the speed-up.
@pytest.mark.parametrize(
    ("limit", "expected", "why"),
    [
        (None, "second", "second kept for max_throughput: 4000/s; first has 2000/s"),
        (9.0, "second", "second kept for max_throughput: 4000/s within 9 ms; first has 2000/s within 9 ms"),
        (4.0, "second", "4000/s within 4 ms; first takes more than 4 ms with every batch"),
        (1.0, "", "first takes more than 1 ms with every batch; second takes more than 1 ms"),
    ],
)
def test_throughput_counts_with_batches_that_are_done_in_time(limit: float | None, expected: str, why: str) -> None:
    choice = kept(Objective("max_throughput", limit), made("first", 2.0), made("second", 4.0))
    assert choice.kept == ((expected,) if expected else ())
    assert why in choice.why


def test_of_equal_sizes_the_faster_is_kept() -> None:
    assert kept(Objective("min_size"), made("slow", 1.0), made("fast", 2.0)).kept == ("fast",)
    assert kept(Objective("min_size"), made("slow", 1.0, size=9), made("fast", 2.0)).kept == ("slow",)


def test_pareto_keeps_all_that_none_beats() -> None:
    small, fast, neither = made("small", 1.0, size=10), made("fast", 4.0), made("neither", 2.0)
    choice = kept(Objective("pareto"), small, neither, fast)
    assert choice.kept == ("small", "fast")
    assert choice.left_out == {"neither": "has p50 4 ms, 2000/s and 1000 B"}
    twins = kept(Objective("pareto"), made("one", 2.0), made("other", 2.0))
    assert twins.kept == ("one", "other")
