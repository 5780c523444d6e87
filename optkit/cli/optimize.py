"""`optkit optimize`: the whole way from a recipe to an approved, packaged model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from optkit.cli.options import json_option, recipe_argument, set_option, store_option, verbose_option
from optkit.cli.paths import File, OutputPath

if TYPE_CHECKING:
    from pathlib import Path


@click.command(
    epilog="""\b
Examples:
  optkit optimize recipes/mnist/recipe.yaml
  optkit optimize recipe.yaml -o out --set steps.quantize.ranges=kl
  optkit optimize recipe.yaml --bisect
  optkit optimize recipe.yaml --baseline mnist-cnn.baseline.json
  optkit optimize recipe.yaml --json | jq -c 'select(.event == "judged")'"""
)
@recipe_argument
@click.option("-o", "--output", type=OutputPath, help="Folder for the result.  [default: out/<recipe's name>]")
@set_option
@store_option
@click.option("--lock", is_flag=True, help="Write recipe.lock.json beside the recipe: keys, digests and versions.")
@click.option("--bisect", is_flag=True, help="Say which step, and which node in it, first makes a result bad.")
@click.option("--baseline", type=File, help="Baseline file of the last release, which must not be fallen behind.")
@click.option("--any-machine", is_flag=True, help="Take a --baseline of another machine class: ratios alone count.")
@json_option
@verbose_option
def command(
    recipe: Path,
    output: Path | None,
    overrides: tuple[str, ...],
    store: Path,
    baseline: Path | None,
    *,
    any_machine: bool,
    lock: bool,
    bisect: bool,
    as_json: bool,
    verbose: bool,
) -> None:
    """Optimize, measure, gate and package the model of RECIPE.

    Nothing deployable is left unless every gate holds (exit 3 says which does not, and by how much).
    """
    from optkit.cli.view import console, follow
    from optkit.core.errors import GateFailed, UsageError
    from optkit.report.terminal import render
    from optkit.workflow.optimize import optimize, refusal
    from optkit.workflow.request import Request

    if any_machine and baseline is None:
        raise UsageError("--any-machine says which baseline files are taken", hint="add --baseline FILE")
    request = Request(
        recipe, output, overrides, store, lock=lock, bisect=bisect, baseline=baseline, any_machine=any_machine
    )
    report, folder = follow(optimize(request), as_json=as_json, verbose=verbose)
    if not as_json:
        render(report, console(), folder)
    if report.outcome != "approved":
        raise GateFailed(refusal(report), hint=f"the measurements are in {folder / 'report.json'}")
