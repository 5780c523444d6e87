"""`optkit eval`: accuracy on labelled data."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from optkit.cli.options import json_option, runtime_option, store_option, verbose_option
from optkit.cli.paths import InputPath

if TYPE_CHECKING:
    from pathlib import Path


@click.command(
    name="eval",
    epilog="""\b
Examples:
  optkit eval model.onnx --data calibration/mnist --split test --output logits
  optkit eval fp32.onnx int8.onnx --data test.npz --output logits --metric agreement
  optkit eval model.onnx --data test.npz --output logits --option k=5
  optkit eval fp32.onnx int8.onnx --data test.npz --output logits --each label"""
)  # fmt: skip
@click.argument("models", nargs=-1, required=True, type=InputPath)
@click.option("--data", required=True, type=InputPath, help="Dataset folder or .npz file.")
@click.option("--split", help="Split of the dataset.")
@click.option("--samples", type=click.IntRange(min=1), help="How many samples; all by default.")
@click.option("--metric", default="accuracy", show_default=True, help="Kind of metric; see `optkit passes`.")
@click.option("--output", required=True, help="Output of the model that is scored.")
@click.option(
    "--each", multiple=True, metavar="NAME", help="Also by slice: `label`, or a name of the dataset's slices."
)
@click.option("options", "--option", multiple=True, metavar="NAME=VALUE", help="An option of the metric.")
@runtime_option
@store_option
@json_option
@verbose_option
def command(
    models: tuple[Path, ...],
    data: Path,
    split: str | None,
    samples: int | None,
    metric: str,
    output: str,
    each: tuple[str, ...],
    options: tuple[str, ...],
    runtimes: tuple[str, ...],
    store: Path,
    *,
    as_json: bool,
    verbose: bool,
) -> None:
    """Score MODELS on data; all but the first are compared with the first, sample by sample."""
    from optkit.cli.json_output import print_json
    from optkit.cli.tables import print_metrics
    from optkit.cli.view import follow
    from optkit.core.recipe import DataSpec
    from optkit.workflow.measuring import evaluate

    part = DataSpec(str(data), split, samples)
    named = [f"output={output}", *options]
    results = follow(evaluate(models, store, part, metric, named, runtimes, each), verbose=verbose)
    if as_json:
        print_json({name: asdict(result) for name, result in results.items()})
    else:
        print_metrics(results)
