"""Batches, threads and instances that the recipe asked for: what throughput costs in latency."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from optkit.report import format as show
from optkit.report.html.blocks import Section, figure, folded, grid, legend, section, table
from optkit.report.html.plot import MARKERS, draw, series_colour, spread
from optkit.report.html.sections.throughput import pareto
from optkit.report.html.subjects import timed
from optkit.report.html.svg import colour
from optkit.report.tables import Row, Sheet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from optkit.core.results import RunReport, SweepPoint
    from optkit.report.html.markup import Markup
    from optkit.report.html.subjects import Timed

    Measured = tuple[Timed, SweepPoint]

_PERCENTILES = ("p50", "p99")


def sweep(report: RunReport) -> Section | None:
    """Returns throughput against latency over all settings, and the settings that no other beats."""
    measured = [(subject, point) for subject in timed(report) for point in subject.timing.sweep if _known(point)]
    if not measured:
        return None
    subjects = {subject.series: subject.name for subject, _ in measured}
    return section(
        "sweep", "Batches, threads and instances",
        "Each point is a setting: a batch size, threads of each instance, and instances that run at the same time.",
        legend(subjects.items()), grid(*(_plot(measured, which) for which in _PERCENTILES)),
        table(_sheet(_front(measured)), "Settings of the Pareto front"),
        folded(f"All {len(measured)} settings", table(_sheet(measured), "All settings")),
    )  # fmt: skip


def _known(point: SweepPoint) -> bool:
    return all(0 < value < math.inf for value in (point.throughput, point.p50_ms, point.p99_ms or 1.0))


def _at(point: SweepPoint, which: str) -> float | None:
    found: float | None = getattr(point, f"{which}_ms")
    return found


def _plot(measured: Sequence[Measured], which: str) -> Markup | None:
    """Returns throughput against a percentile of latency; nothing unless two settings have it."""
    points = [
        (subject.series, latency, point.throughput)
        for subject, point in measured
        if (latency := _at(point, which)) is not None
    ]
    if len(points) < 2:  # noqa: PLR2004  # nothing is to be compared
        return None
    front = pareto([(latency, rate) for _, latency, rate in points])

    def paint(canvas: Figure) -> None:
        axes = canvas.add_subplot()
        axes.plot(*zip(*front, strict=True), color=colour("grid"), linewidth=7, solid_joinstyle="round", zorder=1)
        for series in sorted({series for series, _, _ in points}):
            own = [(latency, rate) for other, latency, rate in points if other == series]
            axes.plot(*zip(*own, strict=True), color=series_colour(series), linestyle="none",
                      marker=MARKERS[series % len(MARKERS)], markersize=5.5, zorder=2)  # fmt: skip
        spread(axes, "x", [latency for _, latency, _ in points])
        spread(axes, "y", [rate for _, _, rate in points])
        axes.set_xlabel(f"{which} latency of a batch, ms")
        axes.set_ylabel("samples/s")

    said = f"{len(points)} settings; the best throughput is {show.rate(max(rate for _, _, rate in points))}"
    drawing = draw(f"sweep-{which}", 230, f"Throughput against {which} latency", said, paint)
    return figure(drawing, f"Throughput against {which} latency. The broad band joins the Pareto front: no setting is "
                           "both faster and sooner.")  # fmt: skip


def _front(measured: Sequence[Measured]) -> list[Measured]:
    """Returns the settings of which none is beaten in throughput and median latency at once, the quickest first."""
    front = set(pareto([(point.p50_ms, point.throughput) for _, point in measured]))
    kept = [each for each in measured if (each[1].p50_ms, each[1].throughput) in front]
    return sorted(kept, key=lambda each: each[1].p50_ms)


def _sheet(measured: Sequence[Measured]) -> Sheet:
    header = ("", "batch", "threads", "instances", "samples/s", *_PERCENTILES)
    return Sheet(header, tuple(Row((subject.name, *_cells(point))) for subject, point in measured))


def _cells(point: SweepPoint) -> tuple[str, ...]:
    latencies = [_at(point, which) for which in _PERCENTILES]
    return (
        str(point.batch), str(point.threads), str(point.instances), show.rate(point.throughput),
        *map(show.milliseconds, latencies),
    )  # fmt: skip
