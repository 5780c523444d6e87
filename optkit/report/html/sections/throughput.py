"""Samples per second at each batch size, and what they cost in latency."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from optkit.report import format as show
from optkit.report.html.blocks import Section, figure, grid, legend, section, table
from optkit.report.html.plot import DASHES, MARKERS, draw, series_colour, spread
from optkit.report.html.subjects import timed
from optkit.report.html.svg import colour
from optkit.report.tables import Row, Sheet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from optkit.core.results import RunReport
    from optkit.report.html.markup import Markup
    from optkit.report.html.subjects import Timed

    Point = tuple[float, float]


def throughput(report: RunReport) -> Section | None:
    """Returns the throughput of each subject per batch size."""
    subjects = [each for each in timed(report) if _rates(each)]
    if not subjects:
        return None
    return section(
        "throughput", "Throughput", "Samples per second at the median latency of each batch size.",
        legend((each.series, each.name) for each in subjects),
        grid(_bars(subjects), _tradeoff(subjects)), table(_sheet(subjects), "Throughput"),
    )  # fmt: skip


def _rates(subject: Timed) -> dict[int, float]:
    return {batch: rate for batch, rate in sorted(subject.timing.throughput.items()) if 0 < rate < math.inf}


def _batches(subjects: Sequence[Timed]) -> list[int]:
    return sorted({batch for each in subjects for batch in _rates(each)})


def _bars(subjects: Sequence[Timed]) -> Markup:
    batches = _batches(subjects)

    def paint(canvas: Figure) -> None:
        axes = canvas.add_subplot()
        width = 0.8 / len(subjects)
        for place, each in enumerate(subjects):
            rates = _rates(each)
            left = [index - 0.4 + width * (place + 0.5) for index in range(len(batches))]
            heights = [rates.get(batch, 0.0) for batch in batches]
            axes.bar(left, heights, width * 0.92, color=series_colour(each.series))
        axes.set_xticks(range(len(batches)), [str(batch) for batch in batches])
        axes.grid(visible=False, axis="x")
        axes.set_xlabel("batch size")
        axes.set_ylabel("samples/s")

    drawing = draw("throughput-batch", 230, "Throughput per batch size", _said(subjects), paint)
    return figure(drawing, "Throughput per batch size: higher is better.")


def _tradeoff(subjects: Sequence[Timed]) -> Markup | None:
    points = {each.series: _points(each) for each in subjects}
    if sum(map(len, points.values())) < 3:  # noqa: PLR2004  # there is nothing to trade between two points
        return None
    everything = [point for each in points.values() for point in each]
    front = pareto(everything)

    def paint(canvas: Figure) -> None:
        axes = canvas.add_subplot()
        axes.plot(*zip(*front, strict=True), color=colour("grid"), linewidth=7, solid_joinstyle="round", zorder=1)
        for each in subjects:
            style, marker = DASHES[each.series % len(DASHES)], MARKERS[each.series % len(MARKERS)]
            axes.plot(*zip(*points[each.series], strict=True), color=series_colour(each.series), linestyle=style,
                      marker=marker, markersize=5, linewidth=1.2, zorder=2)  # fmt: skip
        spread(axes, "x", [x for x, _ in everything])
        spread(axes, "y", [y for _, y in everything])
        axes.set_xlabel("latency of a batch, ms")
        axes.set_ylabel("samples/s")

    drawing = draw("throughput-latency", 230, "Throughput against latency", _said(subjects), paint)
    return figure(drawing, "Throughput against the latency of a batch. The broad band joins the Pareto front: nothing "
                           "measured is both faster and sooner.")  # fmt: skip


def _points(subject: Timed) -> list[Point]:
    """Returns (milliseconds of a batch, samples per second)."""
    return [(batch / rate * 1e3, rate) for batch, rate in _rates(subject).items()]


def pareto(points: Sequence[Point]) -> list[Point]:
    """Returns the points than which no other is both as far left and as far up, from left to right."""
    front: list[Point] = []
    for point in sorted(set(points), key=lambda point: (point[0], -point[1])):
        if not front or point[1] > front[-1][1]:
            front.append(point)
    return front


def _said(subjects: Sequence[Timed]) -> str:
    return "; ".join(
        f"{each.name}: {', '.join(f'{show.rate(rate)} at batch {batch}' for batch, rate in _rates(each).items())}"
        for each in subjects
    )


def _sheet(subjects: Sequence[Timed]) -> Sheet:
    batches = _batches(subjects)
    lines = [Row((each.name, *(show.rate(_rates(each).get(batch)) for batch in batches))) for each in subjects]
    return Sheet(("", *(f"batch {batch}" for batch in batches)), tuple(lines))
