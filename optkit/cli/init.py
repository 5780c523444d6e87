"""`optkit init`: scaffold a recipe that runs as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from optkit.cli.paths import OutputPath

if TYPE_CHECKING:
    from pathlib import Path


@click.command(
    epilog="""\b
Examples:
  optkit init my-model
  optkit optimize my-model/recipe.yaml"""
)
@click.argument("folder", type=OutputPath)
def command(folder: Path) -> None:
    """Write a working example into FOLDER: recipe, model, weights and data, to change into your own."""
    from optkit.workflow.scaffold import scaffold

    for path in scaffold(folder):
        click.echo(path)
    click.echo(f"\nnext: optkit optimize {folder / 'recipe.yaml'}")
