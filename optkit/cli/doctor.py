"""`optkit doctor`: diagnose the environment."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from optkit.cli.options import json_option, store_option

if TYPE_CHECKING:
    from pathlib import Path


@click.command(
    epilog="""\b
Examples:
  optkit doctor
  optkit doctor --json"""
)
@store_option
@json_option
def command(store: Path, *, as_json: bool) -> None:
    """Say what this machine has, what is missing, which runtimes it can run and why not the others.

    Exit 4 if something needed is absent.
    """
    from optkit.cli.json_output import print_json
    from optkit.core.errors import MissingDependency
    from optkit.workflow.doctor import diagnose

    findings = diagnose(store)
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        colours = {"ok": "green", "note": "yellow", "missing": "red"}
        width = max(len(finding.name) for finding in findings)
        for finding in findings:
            state = click.style(f"{finding.state:8}", fg=colours[finding.state])
            click.echo(f"{finding.name:{width}} {state} {finding.text}")
    missing = [finding.name for finding in findings if finding.state == "missing"]
    if missing:
        raise MissingDependency(f"missing: {', '.join(missing)}", hint="pip install optkit")
