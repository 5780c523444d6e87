"""Options that several commands share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., Any]")


def default_store() -> Path:
    """Returns `$OPTKIT_STORE`, else `optkit` in the user's cache folder."""
    own = os.environ.get("OPTKIT_STORE")
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(own) if own else Path(cache) / "optkit"


def store_option(command: F) -> F:
    """Adds `--store`."""
    return click.option(
        "--store",
        type=click.Path(path_type=Path, file_okay=False),
        default=default_store,
        help="Where artifacts are kept.  [default: $OPTKIT_STORE or the user's cache folder]",
    )(command)


def set_option(command: F) -> F:
    """Adds `--set`."""
    return click.option(
        "overrides",
        "--set",
        multiple=True,
        metavar="PATH=VALUE",
        help="Change a value of the recipe, e.g. steps.quantize.ranges=kl; may be repeated.",
    )(command)


def runtime_option(command: F) -> F:
    """Adds `--runtime`."""
    return click.option(
        "runtimes",
        "--runtime",
        multiple=True,
        metavar="NAMES",
        callback=lambda _context, _option, texts: tuple(name for text in texts for name in text.split(",")),
        help="What runs the models, such as onnxruntime,openvino: one for all that it can open, or one for each.",
    )(command)


def json_option(command: F) -> F:
    """Adds `--json`."""
    return click.option("as_json", "--json", is_flag=True, help="Print JSON for programs.")(command)


def verbose_option(command: F) -> F:
    """Adds `-v`."""
    return click.option("-v", "--verbose", is_flag=True, help="Show the progress of each step in logs too.")(command)


recipe_argument = click.argument("recipe", type=click.Path(path_type=Path, dir_okay=False))
