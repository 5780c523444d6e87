"""How latencies spread, and whether they drifted while they were measured."""

from __future__ import annotations

import math
from itertools import chain
from statistics import median
from typing import TYPE_CHECKING, Any

from optkit.report import format as show
from optkit.report.html.blocks import Section, figure, grid, legend, section, table
from optkit.report.html.plot import DASHES, draw, series_colour, spread
from optkit.report.html.subjects import timed
from optkit.report.tables import Row, Sheet, conditions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from optkit.core.results import RunReport
    from optkit.report.html.markup import Markup
    from optkit.report.html.subjects import Timed

_POINTS = 200
"""Of a curve: no screen shows more."""


def latency(report: RunReport) -> Section | None:
    """Returns the distribution of each subject's runs."""
    subjects = [each for each in timed(report) if _samples(each)]
    if not subjects:
        return None
    names = legend((each.series, each.name) for each in subjects)
    return section(
        "latency", "Latency",
        f"One run of the model, {conditions(report) or 'as timed'}, baseline and candidates taking turns.",
        names, grid(_distribution(subjects), _rounds(subjects)), table(_sheet(subjects), "Latencies"),
    )  # fmt: skip


def _samples(subject: Timed) -> list[float]:
    return sorted(value for value in chain(*subject.timing.samples_ms) if math.isfinite(value) and value > 0)


def _distribution(subjects: Sequence[Timed]) -> Markup:
    def paint(canvas: Figure) -> None:
        axes = canvas.add_subplot()
        for each in subjects:
            values = _samples(each)
            picked = [values[round(step * (len(values) - 1) / _POINTS)] for step in range(_POINTS + 1)]
            shares = [step / _POINTS for step in range(_POINTS + 1)]
            axes.step(picked, shares, where="post", **_line(each))
        spread(axes, "x", [value for each in subjects for value in _samples(each)])
        axes.set_ylim(0, 1.02)
        axes.set_xlabel("ms")
        axes.set_ylabel("share of runs")

    said = "; ".join(f"{each.name}: median {show.milliseconds(each.timing.p50_ms)}" for each in subjects)
    drawing = draw("latency-runs", 230, "Distribution of latencies", said, paint)
    return figure(drawing, "Share of runs that took no longer than that: the further left, the faster; the steeper, "
                           "the steadier.")  # fmt: skip


def _rounds(subjects: Sequence[Timed]) -> Markup | None:
    if max(len(each.timing.samples_ms) for each in subjects) < 2:  # noqa: PLR2004  # a curve has two points
        return None

    def paint(canvas: Figure) -> None:
        axes = canvas.add_subplot()
        for each in subjects:
            middles = [median(round_) for round_ in each.timing.samples_ms if round_]
            axes.plot(range(1, len(middles) + 1), middles, **_line(each))
        spread(axes, "y", [median(round_) for each in subjects for round_ in each.timing.samples_ms if round_])
        axes.locator_params(axis="x", integer=True)
        axes.set_xlabel("round")
        axes.set_ylabel("median, ms")

    drawing = draw("latency-rounds", 230, "Median latency of each round", "In the order of time.", paint)
    return figure(drawing, "Median of each round, in the order of time: flat lines mean a quiet machine.")


def _line(subject: Timed) -> dict[str, Any]:
    return {"color": series_colour(subject.series), "linestyle": DASHES[subject.series % len(DASHES)]}


def _sheet(subjects: Sequence[Timed]) -> Sheet:
    header = ("", "runs", "p50", "p90", "p99", "first run", "load", "peak memory")
    lines = [
        Row((
            each.name, str(len(_samples(each))), show.milliseconds(each.timing.p50_ms),
            show.milliseconds(each.timing.p90_ms), show.milliseconds(each.timing.p99_ms),
            show.milliseconds(each.timing.first_ms), show.seconds(each.timing.load_seconds),
            show.size(each.timing.peak_rss_bytes),
        ))
        for each in subjects
    ]  # fmt: skip
    return Sheet(header, tuple(lines))
