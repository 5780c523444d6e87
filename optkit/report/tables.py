"""The tables of a run as text cells; Markdown and the terminal only lay them out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from optkit.core.gates import Status
from optkit.report import format as show
from optkit.report import slices
from optkit.report.judgement import decision, demand, measured, remark

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from optkit.core.gates import Verdict
    from optkit.core.results import CandidateResult, MetricResult, RunReport, Timing

VERDICT_COLUMN = 3
_WORDS = frozenset({
    "verdict", "remark", "pass", "state", "artifact", "candidate", "metric", "data", "operator", "method", "at node",
    "line of the model", "why not",
})  # fmt: skip
"""Titles of columns that do not hold numbers."""
Cells = tuple[str, str]
"""A candidate's value and how it compares with the baseline's."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table; `status` is set where the line is a verdict."""

    cells: tuple[str, ...]
    status: Status | None = None


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table. The first column holds names, the others hold values."""

    header: tuple[str, ...]
    rows: tuple[Row, ...]


def is_value(title: str) -> bool:
    """Returns whether a column, other than the first, holds numbers."""
    return title not in _WORDS


def comparison(report: RunReport) -> Sheet:
    """Returns the baseline against each candidate: metrics, latency, throughput, size and memory."""
    header = ["", f"{report.baseline.name} ({report.baseline.runtime})"]
    for candidate in report.candidates:
        runtime = f" ({candidate.timing.runtime})" if candidate.timing else ""
        header += [candidate.name + runtime, "against baseline"]
    rows = [*_metric_rows(report), *_timing_rows(report), _size_row(report), _memory_row(report)]
    return Sheet(tuple(map(show.one_line, header)), tuple(rows))


def verdicts(candidate: CandidateResult) -> Sheet:
    """Returns one line per rule that the candidate was judged by; slices that passed share one."""
    rows = tuple(row for group in slices.groups(candidate.verdicts) for row in _verdict_rows(group))
    return Sheet(("gate", "limit", "measured", "verdict", "remark"), rows)


def _verdict_rows(group: list[Verdict]) -> Iterator[Row]:
    if not group[0].slice:
        yield _verdict_row(group[0])
        return
    missed = slices.worst(group)
    rest = sum(item.status is not Status.PASSED for item in group) - len(missed)
    note = f"{rest} more are in report.json" if rest else ""
    title, status = show.one_line(slices.title(group)), slices.status(group)
    yield Row((title, demand(group[0]), f"{len(group)} slices", slices.counts(group), note), status)
    for item in missed:
        yield _verdict_row(item)


def _verdict_row(item: Verdict) -> Row:
    return Row((show.one_line(item.title), demand(item), measured(item), decision(item), remark(item)), item.status)


def steps(report: RunReport) -> Sheet:
    """Returns one line per step: whether it was cached, what it took when it was made, and what came of it."""
    rows = tuple(
        Row((
            show.one_line(step.name), show.one_line(step.pass_name), "cached" if step.cached else "built",
            show.seconds(step.seconds), show.size(step.peak_rss_bytes), show.size(step.size_bytes),
            str(sum(step.operators.values())) if step.operators else show.NONE, step.digest[:12],
        ))
        for step in report.steps
    )  # fmt: skip
    return Sheet(("step", "pass", "state", "time", "peak memory", "model size", "nodes", "artifact"), rows)


def conditions(report: RunReport) -> str:
    """Returns how the timings were made, or an empty text if there are none."""
    timing = report.baseline.timing
    if timing is None:
        return ""
    sizes = ", ".join(f"{name}={size}" for name, size in timing.sizes.items())
    threads = f"{timing.threads} thread{'s' if timing.threads != 1 else ''}"
    how = f"timed with {threads}{f' at {sizes}' if sizes else ''} on {report.provenance.cpu}"
    return show.one_line(f"{how}, {show.starts(timing)}")


def untimed(report: RunReport) -> Iterator[str]:
    """Yields a line for each candidate that could not be timed."""
    for candidate in report.candidates:
        if candidate.timing is None:
            yield show.one_line(f"{candidate.name} was not timed: {candidate.untimed or 'no reason was given'}")


def _metric_rows(report: RunReport) -> Iterator[Row]:
    tables = [{metric.name: metric for metric in candidate.metrics} for candidate in report.candidates]
    for name in dict.fromkeys(name for table in tables for name in table):
        found = [table.get(name) for table in tables]
        first = next(metric for metric in found if metric)
        original = show.NONE if first.baseline is None else show.interval(first.baseline, first.kind)
        label = show.one_line(f"{name} ({first.samples} samples)")
        yield _row(label, original, [_metric_cells(metric) for metric in found])


def _metric_cells(metric: MetricResult | None) -> Cells:
    if metric is None:
        return show.NONE, show.NONE
    return show.interval(metric.candidate, metric.kind), show.drop(metric)


def _timing_rows(report: RunReport) -> Iterator[Row]:
    base = report.baseline.timing
    timings = [candidate.timing for candidate in report.candidates]
    medians = [(_p50(candidate.timing), show.speedup(candidate.speedup)) for candidate in report.candidates]
    yield _row("latency p50", _p50(base), medians)
    yield _row("latency p90", _p90(base), [(_p90(timing), _p90_speedup(base, timing)) for timing in timings])
    for batch in sorted({batch for timing in (base, *timings) if timing for batch in timing.throughput}):
        rates = [timing.throughput.get(batch) if timing else None for timing in (base, *timings)]
        yield _timed_row(f"throughput, batch {batch}", rates, show.rate)


def _p50(timing: Timing | None) -> str:
    return show.milliseconds(timing.p50_ms if timing else None)


def _p90(timing: Timing | None) -> str:
    return show.milliseconds(timing.p90_ms if timing else None)


def _p90_speedup(base: Timing | None, timing: Timing | None) -> str:
    value = show.quotient(base.p90_ms, timing.p90_ms) if base and timing else None
    return show.NONE if value is None else f"speed-up {show.ratio(value)}"


def _size_row(report: RunReport) -> Row:
    cells = [(show.size(candidate.size_bytes), show.ratio(candidate.size_ratio)) for candidate in report.candidates]
    return _row("size", f"{show.size(report.baseline.size_bytes)} (fp32 ONNX)", cells)


def _memory_row(report: RunReport) -> Row:
    timings = (report.baseline.timing, *(candidate.timing for candidate in report.candidates))
    return _timed_row("peak memory", [timing.peak_rss_bytes if timing else None for timing in timings], show.size)


def _timed_row(label: str, values: Sequence[float | None], text: Callable[[float | None], str]) -> Row:
    """Returns a row of the baseline's value and each candidate's, with its ratio."""
    base, *others = values
    return _row(label, text(base), [(text(value), show.ratio(show.quotient(value, base))) for value in others])


def _row(label: str, baseline: str, cells: Sequence[Cells]) -> Row:
    return Row((label, baseline, *(cell for pair in cells for cell in pair)))
