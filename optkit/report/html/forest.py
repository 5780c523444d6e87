"""Drops with their bounds, one below the other, beside the limits that they are held against."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from optkit.report import format as show
from optkit.report.html.blocks import figure
from optkit.report.html.plot import draw, rows, series_colour
from optkit.report.html.svg import colour

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from optkit.core.results import CandidateResult, MetricResult
    from optkit.report.html.markup import Markup


@dataclass(frozen=True, slots=True)
class Lost:
    """What a candidate lost of one metric.

    Attributes:
        series: Of the candidate.
        name: What the row is called.
        metric: The metric, or what it is on a slice of the data.
    """

    series: int
    name: str
    metric: MetricResult


def forest(key: str, title: str, found: Sequence[Lost], limits: Sequence[float]) -> Markup | None:
    """Returns the drops as a figure; None if none of them is a number.

    Args:
        key: Names the figure; unique in the page.
        title: Of the figure.
        found: Drops of one metric.
        limits: What the recipe allows.
    """
    lost = [each for each in found if math.isfinite(each.metric.drop.value)]
    if not lost:
        return None
    unit = 100 if show.is_share(lost[0].metric.kind) else 1
    said = "; ".join(f"{each.name}: {show.drop(each.metric)}" for each in lost)
    drawing = draw(key, 62 + 24 * len(lost), title, said, lambda canvas: _paint(canvas, lost, limits, unit))
    dashed = f" The dashed line is the limit, {show.number(limits[0] * unit)}." if len(limits) == 1 else ""
    return figure(drawing, f"{title}.{dashed}")


def limits_of(candidate: CandidateResult, metric: str, *, on_slices: bool) -> set[float]:
    """Returns what a candidate may lose of a metric, on slices of the data or on all of it."""
    judged = [each for each in candidate.verdicts if each.gate == metric and each.rule == "max_drop"]
    return {each.limit for each in judged if bool(each.slice) == on_slices}


def measures(metric: MetricResult) -> tuple[str, str, str, str]:
    """Returns the cells of a table: samples, the baseline's value, the candidate's, and the drop."""
    baseline = show.NONE if metric.baseline is None else show.interval(metric.baseline, metric.kind)
    value, drop = show.interval(metric.candidate, metric.kind), show.drop(metric).removeprefix("drop ")
    return str(metric.samples), baseline, value, drop


def _paint(canvas: Figure, lost: Sequence[Lost], limits: Sequence[float], unit: int) -> None:
    axes = canvas.add_subplot()
    axes.axvline(0, color=colour("muted"), linewidth=1)
    for limit in limits:
        axes.axvline(limit * unit, color=colour("bad"), linewidth=1.4, linestyle=(0, (4, 2)))
    for row, each in enumerate(lost):
        drop = each.metric.drop
        ends = [(end if math.isfinite(end) else drop.value) * unit for end in (drop.lower, drop.upper)]
        axes.plot(ends, [row, row], color=series_colour(each.series), linewidth=4, alpha=0.45)
        axes.plot(drop.value * unit, row, "o", color=series_colour(each.series), markersize=7)
    rows(canvas, axes, [each.name for each in lost])
    axes.set_xlabel("drop, points of a percentage" if unit > 1 else "drop")
