"""JUnit XML: one suite per candidate, one case per rule, as CI servers read it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from optkit.core.gates import Status
from optkit.report.files import write_text
from optkit.report.format import clean, number
from optkit.report.judgement import decision, demand, measured, remark

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from optkit.core.gates import Verdict
    from optkit.core.results import CandidateResult, Choice, RunReport

_COUNTED = {"failures": "failure", "errors": "error", "skipped": "skipped"}


def write_junit(report: RunReport, path: Path) -> None:
    """Writes the verdicts of a run.

    A verdict that is not accepted is a failure whose type is its status (failed, inconclusive, unmeasured). One that
    is accepted without having passed is skipped, with the reason: only a pass may look like a pass. So is a target for
    which nothing was made. What a recipe chooses by is a case of its own, which fails where nothing is kept.

    Raises:
        UsageError: The folder cannot be written.
        StepFailed: The disk is full or failing.
    """
    suites = [_suite(report, candidate) for candidate in report.candidates]
    suites += [_skipped(target, why) for target, why in report.skipped.items()]
    suites += [_objective(report.choice)] if report.choice else []
    _write("optkit", suites, path, report.seconds)


def write_junit_error(name: str, message: str, path: Path) -> None:
    """Writes a run that ended before it was judged: one case, `name` (a step or the recipe), with an error.

    Raises:
        UsageError: The folder cannot be written.
        StepFailed: The disk is full or failing.
    """
    suite = ET.Element("testsuite", name="optkit")
    case = _case(suite, "optkit", name)
    text = clean(message)
    ET.SubElement(case, "error", type="error", message=text.partition("\n")[0]).text = text
    _write("optkit", [suite], path)


def _suite(report: RunReport, candidate: CandidateResult) -> ET.Element:
    # JUnit's timestamps carry no zone.
    started = report.started.removesuffix("Z").removesuffix("+00:00")
    suite = ET.Element("testsuite", name=clean(candidate.name), timestamp=clean(started))
    properties = ET.SubElement(suite, "properties")
    for name in ("target", "digest"):
        ET.SubElement(properties, "property", name=name, value=clean(getattr(candidate, name)))
    for verdict in candidate.verdicts:
        case = _case(suite, candidate.name, verdict.title)
        _judge(case, verdict)
    return suite


def _skipped(target: str, why: str) -> ET.Element:
    suite = ET.Element("testsuite", name=clean(target))
    ET.SubElement(_case(suite, target, "is made"), "skipped", message=clean(why))
    return suite


def _objective(choice: Choice) -> ET.Element:
    suite = ET.Element("testsuite", name="objective")
    case = _case(suite, "objective", choice.objective)
    if choice.kept:
        ET.SubElement(case, "system-out").text = clean(choice.why)
    else:
        ET.SubElement(case, "failure", type="failed", message=clean(choice.why))
    return suite


def _case(suite: ET.Element, group: str, name: str) -> ET.Element:
    return ET.SubElement(suite, "testcase", classname=clean(group), name=clean(name), time="0")


def _judge(case: ET.Element, verdict: Verdict) -> None:
    note = remark(verdict)
    message = f"{decision(verdict)}: {note}" if note else decision(verdict)
    if not verdict.accepted:
        ET.SubElement(case, "failure", type=str(verdict.status), message=message).text = _details(verdict)
        return
    if verdict.status is not Status.PASSED:
        ET.SubElement(case, "skipped", message=message)
    ET.SubElement(case, "system-out").text = _details(verdict)


def _details(verdict: Verdict) -> str:
    lines = {"limit": demand(verdict), "measured": measured(verdict), "verdict": decision(verdict)}
    if verdict.estimate is not None:
        lines["95 % bounds"] = f"{number(verdict.estimate.lower)} to {number(verdict.estimate.upper)}"
    lines["remark"] = remark(verdict)
    return "\n" + "".join(f"{name}: {text}\n" for name, text in lines.items() if text)


def _write(name: str, suites: Iterable[ET.Element], path: Path, seconds: float = 0.0) -> None:
    root = ET.Element("testsuites", name=name, time=f"{seconds:.3f}")
    for suite in suites:
        _count(suite)
        root.append(suite)
    _count(root)
    ET.indent(root)
    # ElementTree would declare the locale's encoding; the file is UTF-8 everywhere.
    write_text(path, '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n")


def _count(element: ET.Element) -> None:
    element.set("tests", str(sum(1 for _ in element.iter("testcase"))))
    for attribute, tag in _COUNTED.items():
        element.set(attribute, str(sum(1 for _ in element.iter(tag))))
