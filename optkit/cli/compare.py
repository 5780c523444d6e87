"""`optkit compare`: two models, or two runs."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from optkit.cli.options import json_option, store_option
from optkit.cli.paths import InputPath

if TYPE_CHECKING:
    from pathlib import Path


@click.command(
    epilog="""\b
Examples:
  optkit compare fp32.onnx int8.onnx
  optkit compare fp32.onnx int8.onnx --per-layer --data calibration.npz
  optkit compare out/last-week out/today"""
)
@click.argument("first", type=InputPath)
@click.argument("second", type=InputPath)
@click.option("--per-layer", is_flag=True, help="Show the error of each tensor that both graphs have, in order.")
@click.option("--data", type=InputPath, help="Dataset folder or .npz file for --per-layer.  [default: made-up inputs]")
@click.option("--sqnr", type=float, help="Signal-to-noise ratio in dB below which a tensor is bad.  [default: 20]")
@store_option
@json_option
def command(
    first: Path, second: Path, data: Path | None, sqnr: float | None, store: Path, *, per_layer: bool, as_json: bool
) -> None:
    """Compare two models (structure, and outputs on made-up inputs) or two runs (what changed, and what it did).

    With --per-layer, show where the error of the second graph enters.
    """
    from optkit.cli.comparison_tables import print_differences, print_layers
    from optkit.cli.json_output import finite, print_json
    from optkit.cli.view import follow
    from optkit.core.errors import UsageError
    from optkit.workflow.comparing import compare, compare_per_layer

    if not per_layer:
        if data is not None or sqnr is not None:
            raise UsageError("--data and --sqnr say how tensors are compared", hint="add --per-layer")
        found = follow(compare(first, second, store))
        print_json(finite(found)) if as_json else print_differences(found, str(first), str(second))
        return
    layers = follow(compare_per_layer(first, second, data, sqnr, store))
    print_json(finite(asdict(layers))) if as_json else print_layers(layers)
