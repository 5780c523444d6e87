"""Tables of the commands that print measurements; the report of a run has its own."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

import click

from optkit.report import format as fmt

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from optkit.core.gates import Estimate
    from optkit.core.results import MetricResult, Profile, Timing


def print_timings(results: Mapping[str, tuple[Timing, Estimate | None]]) -> None:
    """Prints one row per model."""
    rows = [["model", "runtime", "p50", "p90", "p99", "throughput", "memory", "cold start", "against the first"]]
    for name, (timed, speedup) in results.items():
        rates = ", ".join(f"batch {batch}: {fmt.rate(rate)}" for batch, rate in timed.throughput.items())
        rows.append(
            [
                name,
                timed.runtime,
                fmt.milliseconds(timed.p50_ms),
                fmt.milliseconds(timed.p90_ms),
                fmt.milliseconds(timed.p99_ms),
                rates,
                fmt.size(timed.peak_rss_bytes),
                fmt.seconds(timed.load_seconds + timed.first_ms / 1e3),
                fmt.speedup(speedup) if speedup else "",
            ]
        )
    _print_models(rows)
    for timed, _ in list(results.values())[:1]:
        click.echo(f"timed {fmt.starts(timed)}")
    if any(timed.p99_ms is None for timed, _ in results.values()):
        click.echo(f"{fmt.NONE}: too few runs to say; p90 takes 36, p99 takes 368 (give more --seconds)")


def print_profiles(profiles: Mapping[str, Profile]) -> None:
    """Prints the slowest types of operators of all models, then the slowest operators of each."""
    from optkit.cli.view import console
    from optkit.report.profiles import slowest
    from optkit.report.terminal import section

    section(console(), "Types of operators", slowest(profiles, "types", 10))
    for name, profile in profiles.items():
        section(console(), f"Operators of {fmt.one_line(name)}", slowest({"operator": profile}, "operators", 20))


def print_metrics(results: Mapping[str, MetricResult]) -> None:
    """Prints one row per model."""
    rows = [["model", "metric", "samples", "value with 95 % interval", "against the first"]]
    for index, (name, metric) in enumerate(results.items()):
        value = fmt.interval(metric.candidate, metric.kind)
        rows.append([name, metric.kind, str(metric.samples), value, fmt.drop(metric) if index else ""])
        for part in metric.slices:
            value = fmt.interval(part.candidate, metric.kind)
            sliced = fmt.one_line(f"{metric.kind}[{part.title}]")
            rows.append([name, sliced, str(part.samples), value, fmt.loss(part.drop, metric.kind) if index else ""])
    _print_models(rows)


def _print_models(rows: Sequence[Sequence[str]]) -> None:
    """Prints a header and a row per model; in a terminal that is too narrow for it, a block per model."""
    if not sys.stdout.isatty() or sum(_widths(rows)) + 2 * len(rows[0]) <= shutil.get_terminal_size().columns:
        print_rows(rows)
        return
    header, *models = rows
    for name, *cells in models:
        click.secho(name, bold=True)
        print_rows([["", title, cell] for title, cell in zip(header[1:], cells, strict=True)])


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]


def print_rows(rows: Sequence[Sequence[str]]) -> None:
    """Prints rows in columns; the first row may be a header."""
    if not rows:
        return
    widths = _widths(rows)
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
