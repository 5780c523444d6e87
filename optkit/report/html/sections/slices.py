"""Metrics on the slices of their data: the ones that lost most."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from optkit.report import format as show
from optkit.report.html.blocks import Section, folded, grid, section, table
from optkit.report.html.forest import Lost, forest, limits_of, measures
from optkit.report.tables import Row, Sheet

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from optkit.core.results import CandidateResult, MetricResult, RunReport
    from optkit.report.html.markup import Markup

_DRAWN, _LISTED = 16, 200
"""Slices that are drawn and listed, those that lost most first; report.json holds all."""


def slices(report: RunReport) -> Section | None:
    """Returns the drop on each slice that a gate asks for."""
    parts = [part for series, each in enumerate(report.candidates, 1) for part in _candidate(series, each)]
    if not parts:
        return None
    return section(
        "slices", "Slices", "The same metrics on parts of the data, those that lost most first.",
        grid(*(drawing for drawing, _ in parts)), *(listed for _, listed in parts),
    )  # fmt: skip


def _candidate(series: int, candidate: CandidateResult) -> Iterator[tuple[Markup | None, Markup]]:
    for number, metric in enumerate(candidate.metrics):
        found = sorted(_found(series, metric), key=_loss, reverse=True)
        if found:
            title = f"{metric.name} of {candidate.name}"
            limits = sorted(limits_of(candidate, metric.name, on_slices=True))
            drawing = forest(f"slices-{series}-{number}", title, found[:_DRAWN], limits)
            listed = f", the {_LISTED} worst of {len(found)}" if len(found) > _LISTED else ""
            yield drawing, folded(f"{title} on slices{listed}", table(_sheet(found[:_LISTED]), f"Slices: {title}"))


def _found(series: int, metric: MetricResult) -> Iterator[Lost]:
    for part in metric.slices:
        whole = replace(
            metric, samples=part.samples, baseline=part.baseline, candidate=part.candidate, drop=part.drop
        )  # fmt: skip
        yield Lost(series, part.title, whole)


def _loss(lost: Lost) -> float:
    value = lost.metric.drop.value
    return -math.inf if math.isnan(value) else value


def _sheet(found: Sequence[Lost]) -> Sheet:
    lines = (Row((show.one_line(each.name), *measures(each.metric))) for each in found)
    return Sheet(("slice", "samples", "baseline", "value", "drop"), tuple(lines))
