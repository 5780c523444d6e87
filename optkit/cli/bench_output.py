"""What `optkit bench` prints."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from optkit.cli.json_output import print_json
from optkit.cli.tables import print_profiles, print_rows, print_timings
from optkit.report import format as fmt

if TYPE_CHECKING:
    from optkit.measure.sweep import Point, SweepReport
    from optkit.workflow.benching import BenchResult


def show_timings(result: BenchResult, as_json: bool) -> None:  # noqa: FBT001  # a flag of the command
    """Prints what was timed and what was not.

    Raises:
        OptkitError: A model failed; what the others did is printed before.
    """
    if as_json:
        timed = {
            name: {**asdict(timed), "speedup": speedup and asdict(speedup)}
            for name, (timed, speedup) in result.timed.items()
        }
        skipped = {name: {"skipped": reason} for name, reason in result.skipped.items()}
        failed = {name: {"failed": error.message} for name, error in result.failed.items()}
        print_json({**timed, **skipped, **failed})
    else:
        print_timings(result.timed)
        for name, reason in result.skipped.items():
            click.secho(f"{name}: skipped, {reason}", fg="yellow")
        print_profiles({name: timed.profile for name, (timed, _) in result.timed.items() if timed.profile})
    for error in result.failed.values():
        raise error


def show_sweep(report: SweepReport, as_json: bool) -> None:  # noqa: FBT001  # likewise
    """Prints a row per setting; those that no other beats in both latency and throughput are marked."""
    if as_json:
        points = [_as_json(point, best) for point, best in zip(report.points, report.pareto, strict=True)]
        skipped = [{**asdict(each), "why": why} for each, why in report.skipped.items()]
        print_json({"points": points, "skipped": skipped, "no_energy": report.no_energy})
        return
    rows = [["batch", "threads", "instances", "p50", "p90", "p99", "throughput", "energy", ""]]
    for point, best in zip(report.points, report.pareto, strict=True):
        rows.append([*_cells(point), "* Pareto" if best else ""])
    print_rows(rows)
    for setting, why in report.skipped.items():
        click.secho(f"{setting}: skipped, {why}", fg="yellow")
    if report.no_energy:
        click.echo(f"energy: not measured, {report.no_energy}")


def _as_json(point: Point, best: bool) -> dict[str, object]:  # noqa: FBT001  # a fact about the point
    numbers = {"throughput": point.throughput, "runs": point.runs, "joules": point.joules, "pareto": best}
    return {**asdict(point.setting), **{f"{name}_ms": ms for name, ms in point.percentiles.items()}, **numbers}


def _cells(point: Point) -> list[str]:
    sizes = [str(size) for size in (point.setting.batch, point.setting.threads, point.setting.instances)]
    times = [fmt.milliseconds(point.percentiles.get(each)) for each in ("p50", "p90", "p99")]
    energy = fmt.NONE if point.joules is None else f"{fmt.number(point.joules * 1e3)} mJ"
    return [*sizes, *times, fmt.rate(point.throughput), energy]
