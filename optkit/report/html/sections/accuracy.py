"""How much each metric lost, with its interval beside what the recipe allows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optkit.report import format as show
from optkit.report.html.blocks import Section, grid, section, table
from optkit.report.html.forest import Lost, forest, limits_of, measures
from optkit.report.tables import Row, Sheet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from optkit.core.results import RunReport
    from optkit.report.html.markup import Markup

_MOST = 8
"""Metrics that are drawn; the table holds all."""
_HEADER = ("candidate", "metric", "data", "samples", "baseline", "value", "drop")


def accuracy(report: RunReport) -> Section | None:
    """Returns the drop of each metric per candidate."""
    names = list(dict.fromkeys(metric.name for candidate in report.candidates for metric in candidate.metrics))
    if not names:
        return None
    drawn = [_figure(report, name, number) for number, name in enumerate(names[:_MOST])]
    return section(
        "accuracy", "Accuracy",
        "Each metric is compared sample by sample with the baseline. Bars are 95 % bounds; right of 0 is worse.",
        grid(*drawn), table(_sheet(report), "Metrics"),
    )  # fmt: skip


def _figure(report: RunReport, name: str, number: int) -> Markup | None:
    limits = {limit for candidate in report.candidates for limit in limits_of(candidate, name, on_slices=False)}
    title = f"What {name} lost against the baseline"
    return forest(f"accuracy-{number}", title, list(_found(report, name)), sorted(limits))


def _found(report: RunReport, name: str) -> Iterator[Lost]:
    for series, candidate in enumerate(report.candidates, 1):
        yield from (Lost(series, candidate.name, metric) for metric in candidate.metrics if metric.name == name)


def _sheet(report: RunReport) -> Sheet:
    found = [
        Row((show.one_line(candidate.name), show.one_line(metric.name), metric.data, *measures(metric)))
        for candidate in report.candidates
        for metric in candidate.metrics
    ]
    return Sheet(_HEADER, tuple(found))
