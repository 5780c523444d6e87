"""`optkit plan`: what would run, what is cached and why not."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from optkit.cli.options import json_option, recipe_argument, set_option, store_option

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from optkit.workflow.plan import PlannedStep


@click.command(
    epilog="""\b
Examples:
  optkit plan recipe.yaml
  optkit plan recipe.yaml --explain quantize
  optkit plan recipe.yaml --set data.calibration.samples=512 --json"""
)
@recipe_argument
@click.option("--explain", metavar="STEP", help="Say why STEP would run: what its key differs in.")
@set_option
@store_option
@json_option
def command(recipe: Path, explain: str | None, overrides: tuple[str, ...], store: Path, *, as_json: bool) -> None:
    """Show what `optkit optimize RECIPE` would run, without running it."""
    from optkit.cli.json_output import print_json
    from optkit.workflow.plan import explain_step, plan

    steps = plan(recipe, store, overrides)
    if explain:
        lines = explain_step(steps, explain)
        if as_json:
            print_json({"step": explain, "why": lines})
        else:
            click.echo("\n".join(lines))
    elif as_json:
        print_json([asdict(step) for step in steps])
    else:
        _show(steps)


def _show(steps: Sequence[PlannedStep]) -> None:
    from optkit.report.format import size

    for step in steps:
        colour = {"cached": "green", "build": "yellow", "depends": "yellow"}[step.state]
        state = click.style(step.state, fg=colour)
        click.echo(f"{step.name:16} {state}{'':{8 - len(step.state)}} {_earlier(step)}".rstrip())
        for line in step.why:
            click.echo(f"{'':16} {line}")
    disk = sum(step.bytes or 0 for step in steps if step.state != "cached")
    memory = max((step.peak_rss_bytes or 0 for step in steps if step.state != "cached"), default=0)
    for step in steps:
        if step.foreseen:
            click.echo(f"{step.name:16} {click.style(step.foreseen, fg='yellow')}")
    needs = sorted({need for step in steps for need in step.needs})
    click.echo(f"needs: {', '.join(needs)}")
    if disk or memory:
        click.echo(f"estimate from earlier runs: {size(disk)} on disk, {size(memory)} of memory")


def _earlier(step: PlannedStep) -> str:
    from optkit.report.format import size

    if step.seconds is None or step.peak_rss_bytes is None or step.bytes is None:
        return ""
    verb = "took" if step.state == "cached" else "last time"
    return f"{verb} {step.seconds:.1f} s, {size(step.peak_rss_bytes)} of memory, {size(step.bytes)} on disk"
