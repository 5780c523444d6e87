"""Which candidate to take: what each costs in latency, size and the first metric."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from optkit.report import format as show
from optkit.report.html.blocks import Section, figure, grid, legend, section
from optkit.report.html.plot import MARKERS, draw, series_colour, spread
from optkit.report.html.subjects import timed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.figure import Figure

    from optkit.core.results import MetricResult, RunReport
    from optkit.report.html.markup import Markup
    from optkit.report.html.subjects import Timed

    Value = tuple[float, float, float]
    """A number and its interval."""


def tradeoffs(report: RunReport) -> Section | None:
    """Returns the candidates against each other, where there are several."""
    subjects = list(timed(report))
    if sum(each.series > 0 for each in subjects) < 2:  # noqa: PLR2004  # one candidate leaves no choice
        return None
    sizes = dict(enumerate([report.baseline.size_bytes, *(each.size_bytes for each in report.candidates)]))
    mebibytes = {series: (size / 2**20,) * 3 for series, size in sizes.items()}
    return section(
        "choice", "Choosing a candidate", "Each point is a model; the further left, the faster.",
        legend((each.series, each.name) for each in subjects),
        grid(_metric(report, subjects), _scatter("choice-size", "size, MiB", "Size", mebibytes, subjects)),
    )  # fmt: skip


def _metric(report: RunReport, subjects: Sequence[Timed]) -> Markup | None:
    first = next((metric for candidate in report.candidates for metric in candidate.metrics), None)
    if first is None:
        return None
    values: dict[int, Value] = {}
    for series, candidate in enumerate(report.candidates, 1):
        for metric in candidate.metrics:
            if metric.name == first.name:
                values |= _values(series, metric)
    return _scatter("choice-metric", show.one_line(first.name), first.name, values, subjects)


def _values(series: int, metric: MetricResult) -> dict[int, Value]:
    found = {series: metric.candidate} | ({0: metric.baseline} if metric.baseline else {})
    known = {index: (each.value, each.lower, each.upper) for index, each in found.items()}
    return {index: each for index, each in known.items() if all(map(math.isfinite, each))}


def _scatter(key: str, axis: str, name: str, values: Mapping[int, Value], subjects: Sequence[Timed]) -> Markup | None:
    shown = [each for each in subjects if each.series in values]
    if len(shown) < 2:  # noqa: PLR2004  # nothing to compare
        return None

    def paint(canvas: Figure) -> None:
        axes = canvas.add_subplot()
        for each in shown:
            x, (value, low, high) = each.timing.p50_ms, values[each.series]
            axes.plot([x, x], [low, high], color=series_colour(each.series), alpha=0.45, linewidth=3)
            axes.plot(x, value, MARKERS[each.series % len(MARKERS)], color=series_colour(each.series), markersize=8)
        spread(axes, "x", [each.timing.p50_ms for each in shown])
        axes.margins(y=0.2)
        axes.set_xlabel("median latency, ms")
        axes.set_ylabel(axis[:30])

    said = "; ".join(
        f"{each.name}: {show.milliseconds(each.timing.p50_ms)}, {show.number(values[each.series][0])}"
        for each in shown
    )  # fmt: skip
    title = f"{name} against latency"
    return figure(draw(key, 230, title, said, paint), f"{title}.")
