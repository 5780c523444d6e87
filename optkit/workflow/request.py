"""What the user asks of `optkit optimize`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Request:
    """What the user asked for.

    Attributes:
        recipe: The recipe file.
        output: Folder of the result; `out/<name>` by default.
        overrides: `--set` texts.
        store: Folder of the store.
        lock: Whether to write a lockfile beside the recipe.
        bisect: Whether to say which step and node first make a result bad.
        baseline: Baseline file that the run must not fall behind, if any.
        any_machine: Whether that file may come from another machine class.
    """

    recipe: Path
    output: Path | None
    overrides: tuple[str, ...]
    store: Path
    lock: bool = False
    bisect: bool = False
    baseline: Path | None = None
    any_machine: bool = False


def command(request: Request) -> tuple[str, ...]:
    """Returns the command without paths of this machine."""
    options = [part for override in request.overrides for part in ("--set", override)]
    options += ["--baseline", request.baseline.name] if request.baseline else []
    options += ["--any-machine"] if request.any_machine else []
    return ("optkit", "optimize", request.recipe.name, *options)
