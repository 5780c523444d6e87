"""`optkit load`: drive a running server."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from optkit.cli.options import json_option, verbose_option
from optkit.cli.paths import InputFile, InputPath

if TYPE_CHECKING:
    from pathlib import Path


@click.command(
    epilog="""\b
Examples:
  optkit load http://127.0.0.1:8000 --run out/mnist-cnn
  optkit load grpc://127.0.0.1:8001 --run out/mnist-cnn --concurrency 1,16 --batch 4
  optkit load localhost:8000 --model mnist-cnn --data calibration/mnist --split test --json
  optkit load grpcs://models.example:443 --ca ca.pem --run out/mnist-cnn --allow-remote"""
)
@click.argument("url")
@click.option(
    "--protocol", type=click.Choice(["http", "grpc"]), help="What to speak, unless URL says it.  [default: http]"
)
@click.option("--run", type=InputPath, help="What `optimize` wrote: its recorded requests are sent.")
@click.option("--data", type=InputPath, help="Dataset folder or .npz file to send instead.")
@click.option("--split", help="Split of the dataset.")
@click.option("--model", metavar="NAME", help="Its name on the server; the run's by default.")
@click.option("--concurrency", default="1..64", show_default=True, metavar="LEVELS", help="1..64 doubles; or 1,4,16.")
@click.option("--batch", default=1, show_default=True, type=click.IntRange(min=1), help="Samples per request.")
@click.option(
    "--seconds",
    default=3.0,
    show_default=True,
    type=click.FloatRange(0.1, 600),
    help="Time of each level, warm-up aside.",
)
@click.option(
    "--timeout",
    default=10.0,
    show_default=True,
    type=click.FloatRange(0.01, 600),
    help="Seconds that an answer may take.",
)
@click.option(
    "--tensors",
    default="auto",
    show_default=True,
    type=click.Choice(["auto", "binary", "json"]),
    help="How tensors travel over HTTP; auto: binary if the server can.",
)
@click.option(
    "--ca", type=InputFile, help="PEM file of the certificates to trust with https and grpcs.  [default: the system's]"
)
@click.option("--allow-remote", is_flag=True, help="Allow a server that is not on this machine.")
@json_option
@verbose_option
def command(
    url: str,
    protocol: str | None,
    run: Path | None,
    data: Path | None,
    split: str | None,
    model: str | None,
    concurrency: str,
    batch: int,
    seconds: float,
    timeout: float,
    tensors: str,
    ca: Path | None,
    *,
    allow_remote: bool,
    as_json: bool,
    verbose: bool,
) -> None:
    """Send real samples to the server at URL, more and more at once, and check every answer.

    Any server of the Open Inference Protocol (v2) will do: Triton, KServe, MLServer. Exit 6 if an answer is wrong or
    missing; what was measured until then is shown.
    """
    from optkit.cli.json_output import print_json
    from optkit.cli.load_tables import print_load
    from optkit.cli.view import follow
    from optkit.workflow.loading import Load, demand, load

    wanted = Load(
        url, protocol, tensors, model, run, data, split, batch, concurrency, seconds, timeout,
        allow_remote=allow_remote, authorities=ca,
    )  # fmt: skip
    report = follow(load(wanted), verbose=verbose)
    print_json(asdict(report)) if as_json else print_load(report)
    demand(report)
