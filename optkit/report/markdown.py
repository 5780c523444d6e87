"""The summary of a run in GitHub's Markdown: for a pull request or the summary of a CI job."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from optkit.core.errors import UsageError
from optkit.report.format import drop, one_line, ratio, seconds, speedup
from optkit.report.headline import SYMBOLS, caveats, headline, verdict_line
from optkit.report.profiles import profiles, slowest
from optkit.report.tables import VERDICT_COLUMN, Row, Sheet, comparison, conditions, is_value, steps, untimed, verdicts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from optkit.core.results import CandidateResult, RunReport

_OPERATORS = 20
_SPECIAL = re.compile(r"([\\`*_\[\]<|~&])")


def summary(report: RunReport) -> str:
    """Returns the run as Markdown: the verdict, the comparison, the gates, the steps and where it came from."""
    symbol = "✅" if report.outcome == "approved" else "❌"
    blocks = [
        f"## {symbol} {_escaped(one_line(f'{report.recipe} {headline(report)}'))}",
        _bullets([*map(_in_a_line, report.candidates), *untimed(report), *map(one_line, report.remarks)]),
        _table(comparison(report)),
        _escaped(conditions(report)),
        *(block for candidate in report.candidates for block in _candidate(candidate)),
        _profiles(report),
        _details("Steps", _table(steps(report))),
        _details("Provenance", _bullets(list(_provenance(report)))),
        "Plots are in report.html, raw numbers in report.json.",
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def append_step_summary(text: str) -> bool:
    """Appends to the job summary of GitHub Actions.

    Returns:
        Whether `GITHUB_STEP_SUMMARY` names a file.

    Raises:
        UsageError: It names one that cannot be written.
    """
    name = os.environ.get("GITHUB_STEP_SUMMARY")
    if not name:
        return False
    try:
        with Path(name).open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError as error:
        raise UsageError(
            f"GITHUB_STEP_SUMMARY names {name}, which could not be written: {error.strerror}",
            hint="unset it, or name a file that you may write",
        ) from None
    return True


def _in_a_line(candidate: CandidateResult) -> str:
    """Returns the verdict with what most readers look for: speed, size, and what each metric lost."""
    speed = [speedup(candidate.speedup).partition(" [")[0]] if candidate.speedup else []
    lost = [f"{metric.name} {drop(metric).partition(' [')[0]}" for metric in candidate.metrics]
    return f"{verdict_line(candidate)}; {', '.join([*speed, f'size {ratio(candidate.size_ratio)}', *lost])}"


def _candidate(candidate: CandidateResult) -> Iterator[str]:
    yield f"### Gates of {_escaped(one_line(candidate.name))}"
    yield _table(verdicts(candidate)) if candidate.verdicts else "No gate was set."
    notes = list(caveats(candidate))
    yield f"Accepted without having passed:\n\n{_bullets(notes)}" if notes else ""
    packages = [one_line(f"{emitter}: {path}") for emitter, path in candidate.packages.items()]
    yield f"Packages:\n\n{_bullets(packages)}" if packages else ""


def _profiles(report: RunReport) -> str:
    found = profiles(report)
    return _details("Where the time goes", _table(slowest(found, "operators", _OPERATORS))) if found else ""


def _provenance(report: RunReport) -> Iterator[str]:
    about = report.provenance
    yield f"recipe {report.recipe}, sha256 {report.recipe_sha256}"
    yield f"started {report.started}, took {seconds(report.seconds)}, seed {about.seed}"
    yield f"baseline {report.baseline.name}, digest {report.baseline.digest}"
    for candidate in report.candidates:
        yield f"candidate {candidate.name} for {candidate.target}, digest {candidate.digest}"
    for name, digest in about.sources.items():
        yield f"source {name}, digest {digest}"
    yield f"{about.cpu}, {about.cores} cores; flags: {' '.join(about.cpu_flags)}"
    versions = ", ".join(f"{name} {version}" for name, version in about.versions.items())
    yield f"Python {about.python} on {about.platform}; {versions}"


def _table(sheet: Sheet) -> str:
    rule = ["---", *("---:" if is_value(title) else "---" for title in sheet.header[1:])]
    lines = [map(_escaped, sheet.header), rule, *(map(_escaped, _marked(row)) for row in sheet.rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _marked(row: Row) -> list[str]:
    cells = list(row.cells)
    if row.status is not None:
        cells[VERDICT_COLUMN] = f"{SYMBOLS[row.status]} {cells[VERDICT_COLUMN]}"
    return cells


def _bullets(lines: list[str]) -> str:
    return "\n".join(f"- {_escaped(one_line(line))}" for line in lines)


def _details(title: str, body: str) -> str:
    return f"<details>\n<summary>{title}</summary>\n\n{body}\n\n</details>"


def _escaped(text: str) -> str:
    """Returns text that Markdown shows as it is."""
    return _SPECIAL.sub(r"\\\1", text)
