from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from optkit.core.gates import Estimate, SliceGate, Status, judge
from optkit.report import slices
from optkit.report.headline import verdict_line
from optkit.report.junit import write_junit
from optkit.report.tables import verdicts

if TYPE_CHECKING:
    from pathlib import Path

    from optkit.core.gates import Verdict
    from optkit.core.results import CandidateResult, RunReport


def judged(drops: list[float]) -> list[Verdict]:
    gate = SliceGate(max_drop=0.1)
    return [
        verdict
        for index, drop in enumerate(drops)
        for verdict in judge("top1", gate, {"max_drop": Estimate(drop, drop - 0.01, drop + 0.01)}, f"label={index}")
    ]


def candidate_of(report: RunReport, found: list[Verdict]) -> CandidateResult:
    return replace(report.candidates[0], verdicts=tuple(found), approved=False)


def test_slices_that_passed_share_a_line(approved: RunReport) -> None:
    (row,) = verdicts(candidate_of(approved, judged([0.0] * 50))).rows
    assert row.cells == ("top1[each label].max_drop", "<= 0.1", "50 slices", "50 passed", "")
    assert row.status is Status.PASSED


def test_those_that_did_not_pass_follow_the_worst_first(approved: RunReport) -> None:
    rows = verdicts(candidate_of(approved, judged([0.0, 0.2, 0.105, 0.3]))).rows
    assert [row.cells[0] for row in rows] == [
        "top1[each label].max_drop", "top1[label=3].max_drop", "top1[label=1].max_drop", "top1[label=2].max_drop",
    ]  # fmt: skip
    assert rows[0].cells[3] == "2 failed, 1 inconclusive, 1 passed"
    assert [row.status for row in rows] == [Status.FAILED, Status.FAILED, Status.FAILED, Status.INCONCLUSIVE]


def test_many_that_did_not_pass_are_counted(approved: RunReport) -> None:
    candidate = candidate_of(approved, judged([0.2] * 30))
    rows = verdicts(candidate).rows
    assert len(rows) == 1 + slices.MOST
    assert rows[0].cells[4] == "20 more are in report.json"
    assert verdict_line(candidate).endswith("refused (top1[each label].max_drop 30 failed)")


def test_junit_has_a_case_for_each_slice(approved: RunReport, tmp_path: Path) -> None:
    report = replace(approved, candidates=(candidate_of(approved, judged([0.0, 0.2])),))
    write_junit(report, tmp_path / "junit.xml")
    cases = list(ET.parse(tmp_path / "junit.xml").iter("testcase"))  # noqa: S314  # our own file
    assert [case.get("name") for case in cases] == ["top1[label=0].max_drop", "top1[label=1].max_drop"]
    assert [case.find("failure") is not None for case in cases] == [False, True]
