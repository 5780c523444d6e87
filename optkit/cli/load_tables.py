"""The table of `optkit load`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from optkit.cli.tables import print_rows
from optkit.report import format as fmt

if TYPE_CHECKING:
    from optkit.serving.load.levels import Level
    from optkit.workflow.loading import LoadReport


def print_load(report: LoadReport) -> None:
    """Prints what was asked, one row per level, and the knee."""
    samples = f"{report.batch} sample{'s' if report.batch > 1 else ''}"
    asked = f"{report.requests} different requests of {samples}, {report.tensors} tensors"
    click.echo(fmt.one_line(f"{report.model} on {report.server}: {asked}"))
    rows = [["concurrency", "requests", "samples", "mean", "p50", "p90", "p99", "errors", "wrong", "client"]]
    rows += [_row(level) for level in report.levels]
    print_rows(rows)
    click.echo(_knee(report))
    if report.busy_client:
        levels = ", ".join(map(str, report.busy_client))
        click.echo(f"at {levels} the client itself took most of a core: the server may carry more than it was sent")


def _row(level: Level) -> list[str]:
    percentiles = [fmt.milliseconds(level.percentiles_ms.get(name)) for name in ("p50", "p90", "p99")]
    return [
        str(level.concurrency),
        fmt.rate(level.requests_per_second),
        fmt.rate(level.samples_per_second),
        fmt.milliseconds(level.mean_ms),
        *percentiles,
        str(level.errors),
        str(level.wrong),
        f"{level.client_cores:.0%} of a core",
    ]


def _knee(report: LoadReport) -> str:
    if report.knee is None:
        return "no knee: throughput still grows at the highest level, or there is no clean level to compare with"
    return f"knee at {report.knee}: from there, doubling the concurrency gains less than 10 % of throughput"
