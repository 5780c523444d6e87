"""`optkit compare`: two models, or two runs."""

from __future__ import annotations

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
  optkit compare out/last-week out/today"""
)
@click.argument("first", type=InputPath)
@click.argument("second", type=InputPath)
@store_option
@json_option
def command(first: Path, second: Path, store: Path, *, as_json: bool) -> None:
    """Compare two models (structure, and outputs on made-up inputs) or two runs (what changed, and what it did)."""
    from optkit.cli.json_output import print_json
    from optkit.cli.tables import print_differences
    from optkit.cli.view import follow
    from optkit.workflow.comparing import compare

    found = follow(compare(first, second, store))
    if as_json:
        print_json(found)
    else:
        print_differences(found)
