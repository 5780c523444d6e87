from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optkit.core.errors import UsageError
from optkit.core.results import Choice
from optkit.report.junit import write_junit, write_junit_error

if TYPE_CHECKING:
    from pathlib import Path

    from optkit.core.results import RunReport

Golden = Callable[[str, str], None]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "junit.xml"


def written(report: RunReport, path: Path) -> ET.Element:
    write_junit(report, path)
    return ET.parse(path).getroot()  # noqa: S314  # written a line above


def cases(root: ET.Element) -> dict[str, ET.Element]:
    return {case.attrib["name"]: case for case in root[0].iter("testcase")}


@pytest.mark.parametrize("name", ["approved", "accepting", "refused"])
def test_golden(request: pytest.FixtureRequest, golden: Golden, path: Path, name: str) -> None:
    write_junit(request.getfixturevalue(name), path)
    golden(f"{name}.junit.xml", path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["approved", "accepting", "refused"])
def test_counts_match_the_cases(request: pytest.FixtureRequest, path: Path, name: str) -> None:
    report: RunReport = request.getfixturevalue(name)
    root = written(report, path)
    assert root.tag == "testsuites"
    assert [child.tag for child in root] == ["testsuite"] * len(report.candidates)
    assert int(root.attrib["tests"]) == sum(len(candidate.verdicts) for candidate in report.candidates)
    for element in (root, *root):
        for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert int(element.attrib[attribute]) == len(list(element.iter(tag)))


def test_every_case_has_a_name_a_class_and_at_most_one_outcome(refused: RunReport, path: Path) -> None:
    for case in written(refused, path).iter("testcase"):
        assert case.attrib["name"].count(".") == 1
        assert case.attrib["classname"]
        assert sum(child.tag in {"failure", "error", "skipped"} for child in case) <= 1


def test_approved_run_has_no_failure(approved: RunReport, path: Path) -> None:
    root = written(approved, path)
    assert (root.attrib["failures"], root.attrib["skipped"]) == ("0", "0")


def test_failures_say_what_was_demanded_measured_and_missed(refused: RunReport, path: Path) -> None:
    found = {name: case.find("failure") for name, case in cases(written(refused, path)).items()}
    kinds = {name: failure.attrib["type"] for name, failure in found.items() if failure is not None}
    assert kinds == {
        "top1.max_drop": "failed",
        "top1.min": "failed",
        "latency.min_speedup": "inconclusive",
        "memory.max_ratio": "unmeasured",
    }
    failure = found["top1.max_drop"]
    assert failure is not None
    assert failure.attrib["message"] == "failed: missed by 0.03"
    for line in ("limit: <= 0.01", "measured: 0.04 [0.031, 0.049]", "95 % bounds: 0.031 to 0.049"):
        assert line in (failure.text or "")
    assert found["size.max_ratio"] is None


def test_accepted_though_not_passed_is_skipped_with_its_reason(accepting: RunReport, path: Path) -> None:
    found = {name: case.find("skipped") for name, case in cases(written(accepting, path)).items()}
    unmeasured, inconclusive = found["latency.min_speedup"], found["top1.max_drop"]
    assert unmeasured is not None
    assert inconclusive is not None
    assert unmeasured.attrib["message"] == "unmeasured, accepted by the recipe: there is no GPU here"
    assert "about 3200 samples would settle it" in inconclusive.attrib["message"]


def test_what_was_chosen_is_a_case_of_its_own(approved: RunReport, path: Path) -> None:
    kept = Choice("min_latency", ("quantize",), "quantize kept", {}, "machine")
    cases = written(replace(approved, choice=kept), path).iter("testcase")
    (case,) = (each for each in cases if each.get("classname") == "objective")
    assert (case.get("name"), case.findtext("system-out")) == ("min_latency", "quantize kept")


def test_nothing_chosen_is_a_failure_though_every_gate_holds(approved: RunReport, path: Path) -> None:
    nothing = Choice("max_throughput", (), "nothing is kept: too slow", {}, "machine")
    root = written(replace(approved, choice=nothing, outcome="refused"), path)
    assert [failure.get("message") for failure in root.iter("failure")] == ["nothing is kept: too slow"]
    assert root.get("failures") == "1"


def test_a_target_that_was_skipped_never_passes(approved: RunReport, path: Path) -> None:
    root = written(replace(approved, skipped={"openvino-cpu": "openvino is not installed"}), path)
    assert [skipped.get("message") for skipped in root.iter("skipped")] == ["openvino is not installed"]
    assert root.get("skipped") == "1"


def test_error_before_any_verdict(golden: Golden, path: Path) -> None:
    write_junit_error("quantize", "quantize failed: out of memory\nfree some\x00\x1b[31m ]]> & <b>", path)
    golden("error.junit.xml", path.read_text(encoding="utf-8"))
    root = ET.parse(path).getroot()  # noqa: S314  # written a line above
    error = root.find("testsuite/testcase/error")
    assert error is not None
    assert error.attrib["message"] == "quantize failed: out of memory"
    assert (root.attrib["tests"], root.attrib["errors"], root.attrib["failures"]) == ("1", "1", "0")


@settings(max_examples=50, deadline=None)  # flushes a file each time
@given(name=st.text(), message=st.text(alphabet=st.characters(exclude_categories=[])))
def test_no_text_breaks_the_xml(tmp_path_factory: pytest.TempPathFactory, name: str, message: str) -> None:
    path = tmp_path_factory.mktemp("junit") / "junit.xml"
    write_junit_error(name, message, path)
    assert ET.parse(path).getroot().find("testsuite/testcase/error") is not None  # noqa: S314  # written above


def test_a_reason_with_control_characters(accepting: RunReport, path: Path) -> None:
    first = accepting.candidates[0]
    verdicts = tuple(replace(verdict, reason="\x00\x08\ufffe\ud800 gone") for verdict in first.verdicts)
    root = written(replace(accepting, candidates=(replace(first, verdicts=verdicts),)), path)
    skipped = cases(root)["latency.min_speedup"].find("skipped")
    assert skipped is not None
    assert skipped.attrib["message"].endswith(r"\x00\x08\ufffe\ud800 gone")


def test_candidate_without_gates_is_an_empty_suite(approved: RunReport, path: Path) -> None:
    root = written(replace(approved, candidates=(replace(approved.candidates[0], verdicts=()),)), path)
    assert (root[0].attrib["tests"], root.attrib["failures"]) == ("0", "0")


def test_unwritable_folder(approved: RunReport, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="could not be written"):
        write_junit(approved, tmp_path / "no" / "junit.xml")
