"""Whether the engine of a step can run on this machine, and what stands in for it where it cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optkit.passes.build_engine import BuildEngine
from optkit.runtimes.tensorrt.device import why_not
from optkit.runtimes.tensorrt.library import library_named
from optkit.runtimes.tensorrt.plan import ABOUT_FILE, read_about

if TYPE_CHECKING:
    from pathlib import Path

    from optkit.core.passes import Pass

DEFERRED = "its engine is deferred: build it from the kit, on a machine with the library and a GPU"


def builds_engine(do: Pass) -> bool:
    """Returns whether a step's artifact is an engine, or a kit to build one."""
    return isinstance(do, BuildEngine)


def is_deferred(do: Pass) -> bool:
    """Returns whether a step leaves a build kit in place of an engine."""
    return isinstance(do, BuildEngine) and do.defer


def check_buildable(do: Pass) -> None:
    """Refuses, before any work, a step whose engine cannot be built for want of a target or a library.

    Raises:
        UsageError: No engine is built for its target.
        MissingDependency: The library is not installed.
    """
    if isinstance(do, BuildEngine) and not do.defer:
        library_named(do.target).check_installed()


def unavailable(do: Pass) -> str:
    """Returns why the engine of a step cannot run here; nothing if it can."""
    if is_deferred(do):
        return DEFERRED
    return why_not(library_named(do.target)) if isinstance(do, BuildEngine) else ""


def runtime_of(folder: Path, default: str) -> str:
    """Returns what runs a candidate's artifact: an engine's own library, else `default`."""
    return str(read_about(folder)["library"]) if (folder / ABOUT_FILE).exists() else default
