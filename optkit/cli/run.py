"""`optkit run`: one pass without a recipe."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from optkit.cli.options import json_option, store_option, verbose_option
from optkit.cli.paths import InputPath, OutputPath

if TYPE_CHECKING:
    from pathlib import Path


@click.command(
    epilog="""\b
Examples:
  optkit run simplify model.onnx -o simple
  optkit run quantize model.onnx --calibration data.npz -o int8
  optkit run quantize model.onnx --calibration flowers --split train --samples 256 -o int8
  optkit run quantize model.onnx --set method=dynamic -o int8
  optkit run export recipe.yaml -o exported"""
)
@click.argument("pass_name", metavar="PASS")
@click.argument("model", type=InputPath)
@click.option("-o", "--output", type=OutputPath, required=True, help="New folder for the artifact.")
@click.option("--calibration", type=InputPath, help="Dataset folder or .npz file, for passes that calibrate.")
@click.option("--split", help="Split of the calibration data.")
@click.option("--samples", type=click.IntRange(min=1), help="How many of its samples; all by default.")
@click.option(
    "--search", type=InputPath, help="Dataset folder or .npz file that a budget, or method auto, searches on."
)
@click.option("--search-split", help="Split of that data.")
@click.option("options", "--set", multiple=True, metavar="OPTION=VALUE", help="An option of the pass; may be repeated.")
@store_option
@json_option
@verbose_option
def command(  # one parameter per option
    pass_name: str,
    model: Path,
    output: Path,
    calibration: Path | None,
    split: str | None,
    samples: int | None,
    search: Path | None,
    search_split: str | None,
    options: tuple[str, ...],
    store: Path,
    *,
    as_json: bool,
    verbose: bool,
) -> None:
    """Run PASS on MODEL: an .onnx file, a recipe.yaml (its model) or a folder that optkit wrote."""
    from optkit.cli.view import follow
    from optkit.core.recipe import DataSpec
    from optkit.workflow.running import run_pass

    if calibration is None and (split or samples):
        raise click.UsageError("--split and --samples go with --calibration")
    if search is None and search_split:
        raise click.UsageError("--search-split goes with --search")
    data = {"calibration": DataSpec(str(calibration), split, samples)} if calibration else {}
    data |= {"search": DataSpec(str(search), search_split)} if search else {}
    folder = follow(run_pass(pass_name, model, output, store, options, data), as_json=as_json, verbose=verbose)
    if not as_json:
        click.echo(folder)
