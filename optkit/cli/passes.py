"""`optkit passes`: what a recipe may name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from optkit.cli.options import json_option

if TYPE_CHECKING:
    from collections.abc import Mapping


@click.command(
    epilog="""\b
Examples:
  optkit passes
  optkit passes quantize
  optkit passes --json"""
)
@click.argument("name", required=False)
@json_option
def command(name: str | None, *, as_json: bool) -> None:
    """List passes, metrics, targets and serving runtimes, or the options of one of them."""
    from optkit.cli.json_output import print_json
    from optkit.core.errors import UsageError
    from optkit.core.validate import did_you_mean
    from optkit.workflow.catalogue import catalogue

    found = catalogue()
    if name:
        known = {entry: details for entries in found.values() for entry, details in entries.items()}
        if name not in known:
            raise UsageError(f"nothing is called {name!r}", hint=did_you_mean(name, known))
        found = {"": {name: known[name]}}
    if as_json:
        print_json(found)
        return
    for section, entries in found.items():
        if section:
            click.secho(section, bold=True)
        for entry, details in entries.items():
            _show(entry, details, options=bool(name))


def _show(name: str, details: Mapping[str, Any], *, options: bool) -> None:
    click.echo(f"  {name:18} {details['description']}")
    if options:
        width = max((18, *map(len, details["options"])))
        for option, text in details["options"].items():
            click.echo(f"    {option:{width}} {text}")
