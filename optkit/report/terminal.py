"""The end of a run in a terminal, or as plain text where there is none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from optkit.core.gates import Status
from optkit.report.format import one_line
from optkit.report.headline import SYMBOLS, headline, verdict_line
from optkit.report.profiles import profiles, slowest
from optkit.report.tables import VERDICT_COLUMN, Row, Sheet, comparison, conditions, untimed, verdicts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from optkit.core.results import CandidateResult, RunReport

_PADDING = 3  # columns that a cell of a drawn table takes besides its text
_TYPES = 5  # types of operators; Markdown names the operators
_STYLES = {
    Status.PASSED: "green",
    Status.FAILED: "bold red",
    Status.INCONCLUSIVE: "yellow",
    Status.UNMEASURED: "magenta",
}


def render(report: RunReport, console: Console, folder: Path = Path()) -> None:
    """Prints the comparison, what takes time, the gates, the packages and, last, the outcome.

    In a terminal the tables are drawn and coloured, each colour beside a symbol and a word. Elsewhere columns are
    two or more spaces apart, whole however wide, without colours.

    Args:
        report: The run.
        console: Where to.
        folder: The output folder; the packages' paths are shown below it.
    """
    for title, sheet in _comparisons(report, console):
        section(console, title, sheet)
    for line in (conditions(report), *untimed(report), *map(one_line, report.remarks)):
        _line(console, line)
    section(console, "Where the time goes", slowest(profiles(report), "types", _TYPES))
    for candidate in report.candidates:
        section(console, one_line(f"Gates of {candidate.name}"), verdicts(candidate))
    for candidate in report.candidates:
        _packages(console, candidate, folder)
    _line(console, " ")
    for candidate in report.candidates:
        _line(console, verdict_line(candidate), _outcome_style(approved=candidate.approved))
    _line(console, headline(report), f"bold {_outcome_style(approved=report.outcome == 'approved')}")


def _comparisons(report: RunReport, console: Console) -> Iterator[tuple[str, Sheet]]:
    """Yields one table of all candidates, or one for each where a terminal is too narrow for that."""
    sheet = comparison(report)
    if len(report.candidates) == 1 or not console.is_terminal or _drawn_width(sheet) <= console.width:
        yield "Baseline against candidates", sheet
        return
    for candidate in report.candidates:
        yield one_line(f"Baseline against {candidate.name}"), comparison(replace(report, candidates=(candidate,)))


def _drawn_width(sheet: Sheet) -> int:
    columns = zip(sheet.header, *(row.cells for row in sheet.rows), strict=True)
    return sum(max(map(len, column)) + _PADDING for column in columns)


def _packages(console: Console, candidate: CandidateResult, folder: Path) -> None:
    if not candidate.packages:
        return
    _line(console, " ")
    for emitter, path in candidate.packages.items():
        _line(console, one_line(f"{emitter} package of {candidate.name}: {folder / path}"))


def section(console: Console, title: str, sheet: Sheet) -> None:
    """Prints a titled table, unless it is empty."""
    if not sheet.rows:
        return
    _line(console, " ")
    _line(console, title, "bold")
    if console.is_terminal:
        console.print(_drawn(sheet, symbols=console.encoding.startswith("utf")))
        return
    for line in _aligned(sheet):
        _line(console, line)


def _line(console: Console, text: str, style: str = "") -> None:
    """Prints one line, unwrapped and without markup: names may hold brackets."""
    from rich.text import Text

    if text:
        console.print(Text(text.rstrip(), style if console.is_terminal else ""), soft_wrap=True, highlight=False)


def _drawn(sheet: Sheet, *, symbols: bool) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(header_style="bold", show_edge=False, box=SIMPLE_HEAD)
    for title in sheet.header:
        table.add_column(Text(title), overflow="fold")
    for row in sheet.rows:
        cells = [Text(cell) for cell in row.cells]
        if row.status is not None:
            cells[VERDICT_COLUMN] = _verdict(row, row.status, symbols=symbols)
        table.add_row(*cells)
    return table


def _verdict(row: Row, status: Status, *, symbols: bool) -> Text:
    from rich.text import Text

    word = row.cells[VERDICT_COLUMN]
    return Text(f"{SYMBOLS[status]} {word}" if symbols else word, _STYLES[status])


def _aligned(sheet: Sheet) -> Iterator[str]:
    lines = [sheet.header, *(row.cells for row in sheet.rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))


def _outcome_style(*, approved: bool) -> str:
    return "green" if approved else "red"
