"""`optkit bench`: latency, throughput and memory."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from optkit.cli.options import json_option, runtime_option, store_option, verbose_option
from optkit.cli.paths import InputPath

if TYPE_CHECKING:
    from pathlib import Path


@click.command(
    epilog="""\b
Examples:
  optkit bench model.onnx
  optkit bench recipe.yaml int8/model.onnx     (PyTorch eager against the int8 file)
  optkit bench int8.onnx int8.onnx --runtime onnxruntime --runtime openvino
  optkit bench float.onnx int8.onnx --profile
  optkit bench a.onnx b.onnx --threads 4 --json"""
)
@click.argument("models", nargs=-1, required=True, type=InputPath)
@click.option("--threads", default=2, show_default=True, type=click.IntRange(min=1), help="Threads of every session.")
@click.option(
    "--seconds", default=10.0, show_default=True, type=click.FloatRange(min=0.1), help="Time budget, loading aside."
)
@click.option(
    "--precision", default=0.02, show_default=True, type=click.FloatRange(0.001, 1), help="Wanted half-width of ratios."
)
@click.option("--profile", is_flag=True, help="Also show which operators take the time, and how much of it is int8.")
@runtime_option
@store_option
@json_option
@verbose_option
def command(
    models: tuple[Path, ...],
    threads: int,
    seconds: float,
    precision: float,
    runtimes: tuple[str, ...],
    store: Path,
    *,
    profile: bool,
    as_json: bool,
    verbose: bool,
) -> None:
    """Time MODELS in turns, each in its own process; the first is what the others are compared with."""
    from optkit.cli.json_output import print_json
    from optkit.cli.tables import print_profiles, print_timings
    from optkit.cli.view import follow
    from optkit.workflow.measuring import bench

    results = follow(bench(models, store, threads, seconds, precision, runtimes, profile=profile), verbose=verbose)
    if as_json:
        print_json(
            {
                name: {**asdict(timed), "speedup": speedup and asdict(speedup)}
                for name, (timed, speedup) in results.items()
            }
        )
    else:
        print_timings(results)
        print_profiles({name: timed.profile for name, (timed, _) in results.items() if timed.profile})
