"""`optkit package`: emit a finished run for a serving runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from optkit.cli.options import json_option, store_option
from optkit.cli.paths import InputPath, OutputPath

if TYPE_CHECKING:
    from pathlib import Path


@click.command(
    epilog="""\b
Examples:
  optkit package out/mnist-cnn --for triton -o repository
  optkit package out/mnist-cnn --for triton --set instance_count=2 -o repository"""
)
@click.argument("run", type=InputPath)
@click.option("emitter", "--for", default="triton", show_default=True, help="Serving runtime; see `optkit passes`.")
@click.option("-o", "--output", type=OutputPath, required=True, help="New folder for the entries.")
@click.option("options", "--set", multiple=True, metavar="OPTION=VALUE", help="An option of the serving runtime.")
@store_option
@json_option
def command(run: Path, emitter: str, output: Path, options: tuple[str, ...], store: Path, *, as_json: bool) -> None:
    """Emit the approved candidates of RUN (an output folder of `optimize`); its verdicts are judged again."""
    from optkit.cli.json_output import print_json
    from optkit.workflow.repackaging import repackage

    paths = repackage(run, emitter, output, options, store)
    if as_json:
        print_json(paths)
    else:
        for name, path in paths.items():
            click.echo(f"{name}: {path}")
