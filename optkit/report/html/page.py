"""The page as a whole: the verdict first, then every section that has something to show."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from typing import TYPE_CHECKING

from optkit.report.format import one_line
from optkit.report.html.markup import Markup, element, joined
from optkit.report.html.sections.accuracy import accuracy
from optkit.report.html.sections.calibration import calibration
from optkit.report.html.sections.graph import graph
from optkit.report.html.sections.latency import latency
from optkit.report.html.sections.layers import layers
from optkit.report.html.sections.origin import provenance, reproduce
from optkit.report.html.sections.overview import banner, overview
from optkit.report.html.sections.profile import profile
from optkit.report.html.sections.size import size
from optkit.report.html.sections.slices import slices
from optkit.report.html.sections.steps import steps
from optkit.report.html.sections.sweep import sweep
from optkit.report.html.sections.throughput import throughput
from optkit.report.html.sections.tradeoffs import tradeoffs

if TYPE_CHECKING:
    from collections.abc import Callable

    from optkit.core.results import RunReport
    from optkit.report.html.blocks import Section

SECTIONS: tuple[Callable[[RunReport], Section | None], ...] = (
    tradeoffs,
    accuracy,
    slices,
    latency,
    throughput,
    sweep,
    profile,
    size,
    layers,
    calibration,
    graph,
    steps,
    reproduce,
    provenance,
)
"""In the order of the page."""


def page(report: RunReport) -> str:
    """Returns the report as one HTML document; equal reports give equal bytes."""
    found = [each for make in SECTIONS if (each := make(report)) is not None]
    links = element("nav", element("ul", *map(_link, found)), aria_label="Sections")
    sections = [element("section", element("h2", each.title), each.body, id=each.anchor) for each in found]
    return document(
        f"{report.outcome}: {report.recipe}",
        banner(report), links, element("main", overview(report), *sections),
        element("footer", "All of it, raw timings included, stands in report.json."),
    )  # fmt: skip


def failure_page(name: str, message: str, hint: str) -> str:
    """Returns the page of a run that did not reach its end.

    Args:
        name: The recipe.
        message: What went wrong.
        hint: What to do about it; may be empty.
    """
    head = element(
        "header",
        element("p", "optkit report"),
        element(
            "h1", element("span", "✗", class_="mark", aria_hidden="true"),
            element("span", "Failed: ", class_="outcome"), element("span", name, class_="name"),
        ),
        element("p", "The run did not reach its end; nothing was packaged.", class_="sentence"),
        class_="banner bad",
    )  # fmt: skip
    said = element("section", element("h2", "What went wrong"), element("pre", message, tabindex="0"))
    advice = element("section", element("h2", "What to do"), element("pre", hint, tabindex="0")) if hint else None
    return document(f"failed: {name}", head, element("main", said, advice))


def document(title: str, *body: Markup) -> str:
    """Returns a document that loads nothing and runs nothing."""
    css = files("optkit.report.html").joinpath("style.css").read_text(encoding="utf-8")
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_policy(css)),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", f"{one_line(title)} · optkit"),
        element("link", rel="icon", href="data:,"),
        element("style", Markup(css)),
    )
    return f"<!doctype html>\n{element('html', head, element('body', joined(body)), lang='en')}\n"


def _policy(css: str) -> str:
    """Returns what a browser may do with the page: apply this style sheet, and the styles of figures."""
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src-elem 'sha256-{digest}'; style-src-attr 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _link(part: Section) -> Markup:
    return element("li", element("a", part.title, href=f"#{part.anchor}"))
