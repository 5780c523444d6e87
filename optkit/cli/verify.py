"""`optkit verify`: start the serving runtime and replay recorded requests."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from optkit.cli.options import json_option, verbose_option
from optkit.cli.paths import InputPath

if TYPE_CHECKING:
    from pathlib import Path


@click.command(
    epilog="""\b
Examples:
  optkit verify out/mnist-cnn
  optkit verify out/mnist-cnn --json"""
)
@click.argument("folder", type=InputPath)
@json_option
@verbose_option
def command(folder: Path, *, as_json: bool, verbose: bool) -> None:
    """Check the packages in FOLDER (what `optimize` wrote) in the real runtime, on 127.0.0.1.

    The files must be those that were approved, and every answer the one that was recorded; else exit 6.
    """
    from optkit.cli.json_output import print_json
    from optkit.cli.view import follow
    from optkit.workflow.verifying import verify

    results = follow(verify(folder), verbose=verbose)
    if as_json:
        print_json({package: [asdict(check) for check in checks] for package, checks in results.items()})
        return
    for package, checks in results.items():
        protocols = sorted({check.protocol.partition(",")[0] for check in checks})
        worst = max(check.max_abs for check in checks)
        click.secho(f"{package}: {len(checks)} answers as recorded", fg="green", nl=False)
        click.echo(f" over {', '.join(protocols)}; largest error {worst:.2g}")
