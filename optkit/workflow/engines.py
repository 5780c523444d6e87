"""Whether the engine of a step can run on this machine, and what stands in for it where it cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optkit.core.copying import copy_tree
from optkit.core.errors import UsageError
from optkit.core.gates import Status, Verdict
from optkit.passes.build_engine import BuildEngine
from optkit.runtimes.tensorrt.device import why_not
from optkit.runtimes.tensorrt.library import LIBRARIES, library_named
from optkit.runtimes.tensorrt.plan import ABOUT_FILE, check_plan, read_about
from optkit.workflow.output import appearing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from optkit.core.passes import Pass
    from optkit.core.recipe import Recipe
    from optkit.core.results import CandidateResult

_GATE = "engine"
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


def awaited(do: Pass) -> list[Verdict]:
    """Returns the verdict on a candidate whose engine is deferred: there is none yet, and no gate lets that pass."""
    unmeasured = Verdict(_GATE, "min", 1.0, None, Status.UNMEASURED, accepted=False, reason=DEFERRED)
    return [unmeasured] if is_deferred(do) else []


def waiting(recipe: Recipe, results: Sequence[CandidateResult]) -> list[str]:
    """Returns the candidates that lack nothing but their engine."""
    return [
        result.name
        for result in results
        if is_deferred(recipe.step(result.name).do)
        and all(verdict.accepted for verdict in result.verdicts if verdict.gate != _GATE)
    ]


def write_kits(kits: Mapping[str, Path], target: Path) -> None:
    """Copies build kits (name → artifact) below `target`."""
    with appearing(target) as draft:
        for name, folder in kits.items():
            copy_tree(folder, draft / name)


def check_engine(folder: Path) -> None:
    """Refuses an engine that could not be loaded here even if this machine had the GPU for it.

    Raises:
        UsageError: It is damaged or foreign, or was built for another library, version or platform.
    """
    library = read_about(folder)["library"]
    if library not in LIBRARIES:
        raise UsageError(f"{ABOUT_FILE} names an unknown library, {library}", hint=f"known: {', '.join(LIBRARIES)}")
    check_plan(folder, LIBRARIES[library])


def runtime_of(folder: Path, default: str) -> str:
    """Returns what runs a candidate's artifact: an engine's own library, else `default`."""
    return str(read_about(folder)["library"]) if (folder / ABOUT_FILE).exists() else default
