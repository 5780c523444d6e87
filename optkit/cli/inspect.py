"""`optkit inspect`: look inside a model."""

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
  optkit inspect model.onnx
  optkit inspect out/mnist-cnn/triton/mnist-cnn/1/model.onnx --json
  optkit inspect model.onnx --target tensorrt
  optkit inspect int8 --quantization --against model.onnx --data calibration.npz"""
)
@click.argument("model", type=InputPath)
@click.option("--quantization", is_flag=True, help="Show the precision of each node and the scales of each tensor.")
@click.option("--against", type=InputPath, help="The float model: adds a signal-to-noise ratio per tensor.")
@click.option("--data", type=InputPath, help="Dataset folder or .npz file: shows how much saturates on it.")
@click.option("--target", help="List what keeps the graph from becoming an engine of tensorrt or tensorrt-rtx.")
@store_option
@json_option
def command(
    model: Path,
    *,
    quantization: bool,
    against: Path | None,
    data: Path | None,
    target: str | None,
    store: Path,
    as_json: bool,
) -> None:
    """Show what MODEL (an .onnx file or an artifact folder) takes, computes and holds, and how it is quantized."""
    from optkit.cli.json_output import print_json
    from optkit.core.errors import UsageError

    if target and quantization:
        raise UsageError("--target and --quantization are two questions", hint="ask one at a time")
    if not quantization:
        if against or data:
            raise UsageError("--against and --data say how well a model is quantized", hint="add --quantization")
        if target:
            _print_readiness(model, target, as_json=as_json)
        else:
            _print_facts(model, as_json=as_json)
        return
    from optkit.cli.quantization_tables import print_quantization
    from optkit.cli.view import follow
    from optkit.workflow.quantization_report import inspect_quantization

    found = follow(inspect_quantization(model, against, data, store))
    if as_json:
        print_json(asdict(found))
    else:
        print_quantization(found)


def _print_facts(model: Path, *, as_json: bool) -> None:
    from optkit.cli.inspection_tables import print_inspection
    from optkit.cli.json_output import print_json
    from optkit.workflow.inspecting import inspect

    found = inspect(model)
    if as_json:
        print_json(asdict(found))
    else:
        print_inspection(found)


def _print_readiness(model: Path, target: str, *, as_json: bool) -> None:
    from optkit.cli.inspection_tables import print_readiness
    from optkit.cli.json_output import print_json
    from optkit.workflow.inspecting import readiness, refusal

    found = readiness(model, target)
    if as_json:
        print_json(asdict(found))
    else:
        print_readiness(found)
    if found.refusals:
        raise refusal(found)
