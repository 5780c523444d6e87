"""What changed between two runs, and whether it did anything."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from optkit.core.errors import UsageError
from optkit.core.gates import Estimate
from optkit.core.results import Choice, StepResult
from optkit.report.json_report import write_json
from optkit.workflow.comparing_runs import compare_runs
from tests.report.conftest import timing, top1
from tests.workflow.released import RUN, changed, elsewhere, with_candidate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from optkit.core.results import RunReport

QUANTIZE = StepResult("q", "Quantize", {"ranges": "mse"}, {}, "1" * 64, "2" * 64, False, 1.0, 1, {})  # noqa: FBT003  # cached

STEADY = with_candidate(timing=replace(timing("onnxruntime", 0.5, 1 << 20), samples_ms=((0.5, 0.5),) * 8))


@pytest.fixture
def compare(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    def compare(after: RunReport, before: RunReport = RUN) -> dict[str, Any]:
        for name, report in (("first", before), ("second", after)):
            (tmp_path / name).mkdir()
            write_json(report, tmp_path / name / "report.json")
        return compare_runs(tmp_path / "first", tmp_path / "second")

    return compare


def test_a_run_is_like_itself(compare: Callable[..., dict[str, Any]]) -> None:
    found = compare(RUN)
    numbers = found.pop("numbers")["quantize"]
    assert not any(found.values())
    chance = "chance: the same bytes in the same versions"
    assert {name: each["meaning"] for name, each in numbers.items()} == {
        "top1": "the same", "cosine": "the same", "latency": chance, "memory": chance, "size": "the same",
    }  # fmt: skip
    assert numbers["latency"]["before"] == numbers["latency"]["after"] == 3.1


def test_what_changed_is_named_by_section(compare: Callable[..., dict[str, Any]]) -> None:
    before = replace(RUN, steps=(QUANTIZE,))
    after = replace(
        elsewhere(
            cpu_flags=("avx2", "avx512_vnni"),
            versions={"optkit": "0.1.0", "onnxruntime": "2.0"},
            sources=RUN.provenance.sources | {"model": "e" * 64},
        ),
        steps=(replace(QUANTIZE, options={"ranges": "kl"}, digest="3" * 64), replace(QUANTIZE, name="new")),
        outcome="refused",
    )
    found = compare(after, before)
    assert found["options"] == {"q.ranges": ("mse", "kl")}  # and not those of a step that one run lacks
    assert found["steps"] == {"q": ("1" * 64, "3" * 64), "new": (None, "1" * 64)}
    assert found["versions"] == {"onnxruntime": ("1.31.1", "2.0")}
    assert found["machine"] == {"cpu flags": ("fma", "avx512_vnni")}
    assert found["sources"] == {"model": ("b" * 64, "e" * 64)}
    assert found["verdicts"] == {"outcome": ("approved", "refused")}


def test_targets_and_choices_are_part_of_the_recipe(compare: Callable[..., dict[str, Any]]) -> None:
    chosen = replace(with_candidate(target="openvino-cpu"), choice=Choice("min_size", ("quantize",), "", {}, "m"))
    assert compare(chosen)["recipe"] == {
        "kept": (None, "quantize"), "target of quantize": ("onnxruntime-cpu", "openvino-cpu"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("speedup", "meaning"),
    [
        (Estimate(2.0, 1.9, 2.1), "worse"),
        (Estimate(6.0, 5.9, 6.1), "better"),
        (Estimate(3.2, 3.0, 3.4), "not told apart"),
        (Estimate(math.nan, math.nan, math.nan), "not told apart"),
    ],
)
def test_a_change_counts_only_if_the_intervals_say_so(
    speedup: Estimate, meaning: str, compare: Callable[..., dict[str, Any]]
) -> None:
    p50 = 0.5 * 3.1 / speedup.value
    steady = replace(timing("onnxruntime", p50, 1 << 20), samples_ms=((p50, p50),) * 8)
    found = compare(with_candidate(speedup=speedup, timing=steady, digest="0" * 64), STEADY)
    assert found["numbers"]["quantize"]["latency"]["meaning"] == meaning


def test_a_gain_counts_only_if_milliseconds_and_speedup_agree(compare: Callable[..., dict[str, Any]]) -> None:
    slower_original = with_candidate(
        speedup=Estimate(6.0, 5.9, 6.1), digest="0" * 64, timing=STEADY.candidates[0].timing
    )
    assert compare(slower_original, STEADY)["numbers"]["quantize"]["latency"]["meaning"] == "not told apart"


def test_a_loss_of_accuracy_has_its_bounds(compare: Callable[..., dict[str, Any]]) -> None:
    worse = with_candidate(digest="0" * 64, metrics=(top1(Estimate(0.05, 0.045, 0.055)),))
    found = compare(worse)["numbers"]["quantize"]
    assert found["top1"]["meaning"] == "worse"
    assert found["top1"]["lost"]["value"] == pytest.approx(0.048)
    assert found["cosine"] == {
        "before": 0.9991, "after": None, "lost": None, "meaning": "in one of the runs only",
    }  # fmt: skip


def test_what_cannot_be_compared_says_why(compare: Callable[..., dict[str, Any]]) -> None:
    found = compare(elsewhere(sources={"data.evaluation": "0" * 64}))["numbers"]["quantize"]
    assert found["top1"]["meaning"] == "data.evaluation is not what the baseline was judged on"


def test_candidates_of_one_run_only(compare: Callable[..., dict[str, Any]]) -> None:
    found = compare(replace(RUN, candidates=(changed(name="new"),)))["numbers"]
    assert found["quantize"]["size"] == {
        "before": 448_000, "after": None, "lost": None, "meaning": "in one of the runs only",
    }  # fmt: skip
    assert found["new"]["latency"]["before"] is None


def test_what_is_no_report(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text("{}")
    with pytest.raises(UsageError, match="is damaged or not of this version of optkit"):
        compare_runs(tmp_path, tmp_path)
