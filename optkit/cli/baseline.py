"""`optkit baseline`: the committed file that `optkit optimize --baseline` compares with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from optkit.cli.options import json_option
from optkit.cli.paths import File, InputPath

if TYPE_CHECKING:
    from pathlib import Path


@click.group(
    epilog="""\b
Examples:
  optkit baseline save out/mnist-cnn
  optkit optimize recipe.yaml --baseline mnist-cnn.baseline.json"""
)
def command() -> None:
    """Keep a run's numbers, which later runs must not fall behind."""


@command.command(epilog="Example: optkit baseline save out/mnist-cnn -o release.json")
@click.argument("run", type=InputPath)
@click.option("-o", "--output", type=File, help="File to write.  [default: <recipe's name>.baseline.json]")
@json_option
def save(run: Path, output: Path | None, *, as_json: bool) -> None:
    """Write the numbers of the approved run in folder RUN into a small file, to be committed beside the recipe."""
    from optkit.cli.json_output import print_json
    from optkit.workflow.releasing import save_release

    file = save_release(run, output)
    print_json({"file": str(file)}) if as_json else click.echo(f"wrote {file}")
