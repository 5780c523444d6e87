"""How much each metric lost, with its interval beside what the recipe allows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from optkit.report import format as show
from optkit.report.html.blocks import Section, figure, grid, section, table
from optkit.report.html.plot import draw, rows, series_colour
from optkit.report.html.svg import colour
from optkit.report.tables import Row, Sheet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.figure import Figure

    from optkit.core.results import CandidateResult, MetricResult, RunReport
    from optkit.report.html.markup import Markup

_MOST = 8
"""Metrics that are drawn; the table holds all."""
_HEADER = ("candidate", "metric", "data", "samples", "baseline", "value", "drop")


@dataclass(frozen=True, slots=True)
class _Lost:
    """What a candidate lost of one metric."""

    series: int
    candidate: str
    metric: MetricResult


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


def _found(report: RunReport, name: str) -> Iterator[_Lost]:
    for series, candidate in enumerate(report.candidates, 1):
        yield from (_Lost(series, candidate.name, metric) for metric in candidate.metrics if metric.name == name)


def _figure(report: RunReport, name: str, number: int) -> Markup | None:
    lost = [each for each in _found(report, name) if math.isfinite(each.metric.drop.value)]
    if not lost:
        return None
    unit = 100 if show.is_share(lost[0].metric.kind) else 1
    limits = sorted({limit for candidate in report.candidates if (limit := _limit(candidate, name)) is not None})

    def paint(canvas: Figure) -> None:
        axes = canvas.add_subplot()
        axes.axvline(0, color=colour("muted"), linewidth=1)
        for limit in limits:
            axes.axvline(limit * unit, color=colour("bad"), linewidth=1.4, linestyle=(0, (4, 2)))
        for row, each in enumerate(lost):
            drop = each.metric.drop
            ends = [(end if math.isfinite(end) else drop.value) * unit for end in (drop.lower, drop.upper)]
            axes.plot(ends, [row, row], color=series_colour(each.series), linewidth=4, alpha=0.45)
            axes.plot(drop.value * unit, row, "o", color=series_colour(each.series), markersize=7)
        rows(canvas, axes, [each.candidate for each in lost])
        axes.set_xlabel("drop, points of a percentage" if unit > 1 else "drop")

    said = "; ".join(f"{each.candidate}: {show.drop(each.metric)}" for each in lost)
    dashed = f" The dashed line is the limit, {show.number(limits[0] * unit)}." if len(limits) == 1 else ""
    title = f"What {name} lost against the baseline"
    drawing = draw(f"accuracy-{number}", 62 + 24 * len(lost), title, said, paint)
    return figure(drawing, f"{title}.{dashed}")


def _limit(candidate: CandidateResult, name: str) -> float | None:
    limits = [each.limit for each in candidate.verdicts if each.gate == name and each.rule == "max_drop"]
    return min(limits, default=None)


def _sheet(report: RunReport) -> Sheet:
    found = [
        Row((
            candidate.name, metric.name, metric.data, str(metric.samples),
            show.NONE if metric.baseline is None else show.interval(metric.baseline, metric.kind),
            show.interval(metric.candidate, metric.kind), show.drop(metric).removeprefix("drop "),
        ))
        for candidate in report.candidates
        for metric in candidate.metrics
    ]  # fmt: skip
    return Sheet(_HEADER, tuple(found))
