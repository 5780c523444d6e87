"""`optkit inspect`: look inside a model."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from optkit.cli.options import json_option
from optkit.cli.paths import InputPath

if TYPE_CHECKING:
    from pathlib import Path


@click.command(
    epilog="""\b
Examples:
  optkit inspect model.onnx
  optkit inspect out/mnist-cnn/triton/mnist-cnn/1/model.onnx --json"""
)
@click.argument("model", type=InputPath)
@json_option
def command(model: Path, *, as_json: bool) -> None:
    """Show inputs, outputs, operators, weights and quantization of MODEL (an .onnx file or an artifact folder)."""
    from optkit.cli.json_output import print_json
    from optkit.cli.tables import print_inspection
    from optkit.workflow.inspecting import inspect

    found = inspect(model)
    if as_json:
        print_json(asdict(found))
    else:
        print_inspection(found)
