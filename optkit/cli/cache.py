"""`optkit cache`: list or clean the store."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from optkit.cli.options import json_option, store_option

if TYPE_CHECKING:
    from pathlib import Path


@click.group(
    epilog="""\b
Examples:
  optkit cache ls
  optkit cache gc --older-than 30"""
)
def command() -> None:
    """List or clean the store."""


@command.command("ls", epilog="Example: optkit cache ls --json")
@store_option
@json_option
def list_entries(store: Path, *, as_json: bool) -> None:
    """List every cached step, the newest first."""
    from optkit.cli.json_output import print_json
    from optkit.report.format import size
    from optkit.workflow.caching import entries

    found = entries(store)
    if as_json:
        print_json([asdict(entry) for entry in found])
        return
    for entry in found:
        click.echo(
            f"{entry.digest[:12]}  {entry.kind:12} {size(entry.bytes):>11}  {entry.age_days:5.1f} days  {entry.step}"
        )
    click.echo(f"{len(found)} steps, {size(sum(entry.bytes for entry in found))} in {store}")


@command.command("gc", epilog="Example: optkit cache gc --older-than 0   (forgets everything)")
@click.option("--older-than", "days", default=30.0, show_default=True, help="Forget steps older than so many days.")
@store_option
@json_option
def collect(days: float, store: Path, *, as_json: bool) -> None:
    """Forget old steps and remove what no remembered step made, crashed builds included."""
    from optkit.cli.json_output import print_json
    from optkit.report.format import size
    from optkit.workflow.caching import collect as collect_garbage

    freed = collect_garbage(store, days)
    if as_json:
        print_json(asdict(freed))
    else:
        click.echo(f"forgot {freed.actions} steps, removed {freed.objects} objects, {size(freed.bytes)} freed")
