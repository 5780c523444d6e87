"""Writes what a run found into its output folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from optkit.core.errors import OptkitError
    from optkit.core.results import RunReport


def write(report: RunReport, folder: Path) -> None:
    """Writes report.json, report.html, junit.xml, summary.md and, for an approved run, MANIFEST.json."""
    from optkit.report.files import write_text
    from optkit.report.html.page import page
    from optkit.report.json_report import write_json
    from optkit.report.junit import write_junit
    from optkit.report.manifest import write_manifest
    from optkit.report.markdown import append_step_summary, summary
    from optkit.workflow.output import PAGE, REPORT

    write_json(report, folder / REPORT)
    write_text(folder / PAGE, page(report))
    write_junit(report, folder / "junit.xml")
    text = summary(report)
    write_text(folder / "summary.md", text)
    append_step_summary(text)
    if report.outcome == "approved":
        write_manifest(report, folder)


def write_failure(name: str, error: OptkitError, folder: Path) -> None:
    """Writes a JUnit file and a page that say why a run ended before its gates."""
    from optkit.report.files import write_text
    from optkit.report.html.page import failure_page
    from optkit.report.junit import write_junit_error
    from optkit.workflow.output import PAGE

    write_junit_error(name, str(error), folder / "junit.xml")
    write_text(folder / PAGE, failure_page(name, error.message, error.hint))
