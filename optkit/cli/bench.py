"""`optkit bench`: latency, throughput and memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from optkit.cli.counts import Counts
from optkit.cli.options import json_option, runtime_option, store_option, verbose_option
from optkit.cli.paths import InputPath
from optkit.core.recipe import MeasureSpec

if TYPE_CHECKING:
    from pathlib import Path

DEFAULTS = MeasureSpec()


@click.command(
    epilog="""\b
Examples:
  optkit bench model.onnx
  optkit bench recipe.yaml int8/model.onnx     (PyTorch eager against the int8 file)
  optkit bench int8.onnx --runtime onnxruntime,openvino
  optkit bench recipe.yaml --runtime torch,torch-compile
  optkit bench float.onnx int8.onnx --profile
  optkit bench a.onnx b.onnx --threads 4 --json
  optkit bench int8.onnx --sweep --batches 1,8,32 --threads 1,2 --instances 1,2"""
)
@click.argument("models", nargs=-1, required=True, type=InputPath)
@click.option("--threads", default="2", show_default=True, type=Counts, help="Threads of every session.")
@click.option(
    "--seconds",
    default=DEFAULTS.seconds,
    show_default=True,
    type=click.FloatRange(min=0.1),
    help="Time budget; loading is not counted, except by a sweep.",
)
@click.option(
    "--precision",
    default=DEFAULTS.precision,
    show_default=True,
    type=click.FloatRange(0.001, 1),
    help="Wanted half-width of ratios.",
)
@click.option("--sweep", is_flag=True, help="Measure throughput for every combination of batch, threads and instances.")
@click.option("--batches", type=Counts, help="Of a sweep.  [default: the smallest, the tuned and the largest]")
@click.option("--instances", type=Counts, help="Of a sweep: how many run at the same time.  [default: 1,2]")
@click.option("--profile", is_flag=True, help="Also show which operators take the time, and how much of it is int8.")
@runtime_option
@store_option
@json_option
@verbose_option
def command(
    models: tuple[Path, ...],
    threads: tuple[int, ...],
    seconds: float,
    precision: float,
    batches: tuple[int, ...] | None,
    instances: tuple[int, ...] | None,
    runtimes: tuple[str, ...],
    store: Path,
    *,
    sweep: bool,
    profile: bool,
    as_json: bool,
    verbose: bool,
) -> None:
    """Time MODELS in turns, each in its own process; the first is what the others are compared with."""
    from optkit.cli.bench_output import show_sweep, show_timings
    from optkit.cli.view import follow
    from optkit.workflow import benching

    if sweep:
        if len(models) > 1 or profile:
            raise click.UsageError("--sweep takes one model, and no --profile")
        settings = (batches or (), threads, instances or (1, 2))
        show_sweep(follow(benching.sweep(models[0], store, *settings, seconds, runtimes), verbose=verbose), as_json)
        return
    if batches or instances or len(threads) > 1:
        raise click.UsageError("--batches, --instances and several numbers of threads are for a --sweep")
    measuring = benching.bench(models, store, threads[0], seconds, precision, runtimes, profile=profile)
    show_timings(follow(measuring, verbose=verbose), as_json)
