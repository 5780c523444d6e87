"""What sections are made of: tables, figures with a caption, folded parts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from optkit.core.gates import Status
from optkit.report.headline import SYMBOLS
from optkit.report.html.markup import Markup, element, joined
from optkit.report.html.svg import SERIES
from optkit.report.tables import Sheet, is_value

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from optkit.report.tables import Row

_SENTENCES = frozenset({"remark", "why not"})
_TONES = {
    Status.PASSED: "good",
    Status.FAILED: "bad",
    Status.INCONCLUSIVE: "warn",
    Status.UNMEASURED: "warn",
}


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page.

    Attributes:
        anchor: Its id.
        title: Its heading.
        body: What stands below that.
    """

    anchor: str
    title: str
    body: Markup


def section(anchor: str, title: str, lead: str | None, *blocks: Markup | None) -> Section:
    """Returns a section that starts with a sentence."""
    return Section(anchor, title, joined([element("p", lead, class_="lead") if lead else None, *blocks]))


def table(sheet: Sheet, caption: str) -> Markup:
    """Returns a table that scrolls on its own where the page is too narrow for it."""
    kinds = [None, *map(_kind, sheet.header[1:])]
    head = [element("th", text, scope="col", class_=kind) for text, kind in zip(sheet.header, kinds, strict=True)]
    body = [element("tr", *_cells(sheet, row)) for row in sheet.rows]
    return element(
        "div",
        element("table", element("caption", caption), element("thead", element("tr", *head)), element("tbody", *body)),
        class_="scroll", role="region", aria_label=caption, tabindex="0",
    )  # fmt: skip


def without_empty(sheet: Sheet) -> Sheet:
    """Returns a table without a last column that says nothing."""
    if any(row.cells[-1] for row in sheet.rows):
        return sheet
    return Sheet(sheet.header[:-1], tuple(replace(row, cells=row.cells[:-1]) for row in sheet.rows))


def badge(status: Status, text: str, *, accepted: bool = True) -> Markup:
    """Returns a verdict: a symbol, a word and a colour."""
    tone = "bad" if not accepted and status is Status.FAILED else _TONES[status]
    return element("span", element("span", SYMBOLS[status], aria_hidden="true"), " ", text, class_=f"badge {tone}")


def folded(summary: str, *blocks: Markup | None, opened: bool = False) -> Markup:
    """Returns blocks that a click shows."""
    body = joined([element("summary", summary), *blocks])
    return Markup(f"<details{' open' if opened else ''}>{body}</details>")


def figure(drawing: Markup, caption: str, legend: Markup | None = None) -> Markup:
    """Returns a plot with what it says below it."""
    return element("figure", legend, drawing, element("figcaption", caption))


def legend(names: Iterable[tuple[int, str]]) -> Markup:
    """Returns which colour is whose: (series, name)."""
    return element("ul", *(element("li", swatch(index), name) for index, name in names), class_="legend")


def swatch(index: int) -> Markup:
    """Returns a patch in the colour of a series."""
    number = index if index < SERIES else (index - 1) % (SERIES - 1) + 1
    return element("span", class_=f"swatch series-{number}", aria_hidden="true")


def grid(*blocks: Markup | None) -> Markup:
    """Returns blocks side by side where there is room."""
    return element("div", *blocks, class_="grid")


def pairs(items: Iterable[tuple[str, str]]) -> Markup:
    """Returns names and what they stand for."""
    return element("dl", *(element("div", element("dt", name), element("dd", text)) for name, text in items))


def bullets(lines: Sequence[str]) -> Markup | None:
    """Returns a list, or nothing for no lines."""
    return element("ul", *(element("li", line) for line in lines), class_="plain") if lines else None


def _cells(sheet: Sheet, row: Row) -> list[Markup]:
    cells: list[Markup] = []
    for index, (title, text) in enumerate(zip(sheet.header, row.cells, strict=True)):
        content = badge(row.status, text) if row.status is not None and title == "verdict" else text
        if index == 0:
            cells.append(element("th", content, scope="row"))
        else:
            cells.append(element("td", content, class_=_kind(title)))
    return cells


def _kind(title: str) -> str | None:
    if title in _SENTENCES:
        return "words"
    return "value" if title and is_value(title) else None
