"""How the `export` pass works: strategies are tried, each in a process of its own, until a graph is right."""

from __future__ import annotations

import itertools
import sys
from typing import TYPE_CHECKING, Any

from optkit.core.errors import StepFailed
from optkit.core.process import result_of, run_pass
from optkit.passes.export_attempt import REJECTED, Attempt
from optkit.passes.export_reference import read_strategies
from optkit.passes.onnx_step import emptied, move_artifact

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from optkit.core.passes import Work

    Run = Callable[[Attempt, Path, Path, Work], dict[str, Any]]


def export(folder: Path, opset: int, tolerance: float, work: Work, run: Run | None = None) -> None:
    """Exports the PyTorch artifact at `folder` in the first way that gives a right graph.

    Args:
        folder: The artifact.
        opset: ONNX operator set.
        tolerance: Largest difference from PyTorch, relative to the scale of an output.
        work: Where the graph goes.
        run: Runs one attempt, whose graph goes to `out` in an empty folder, and returns its notes; `in_child` if None.

    Raises:
        StepFailed: The model does not run, gives NaN, or no exporter gives a right graph; says why for each.
    """
    rejected: list[str] = []
    for number in itertools.count():
        place = emptied(work.scratch / f"attempt{number}")
        notes = (run or in_child)(Attempt(number, opset, tolerance), folder, place, work)
        names = read_strategies(work.scratch)
        if REJECTED not in notes:
            move_artifact(place / "out", work.out)
            work.notes["export"] = {"strategy": names[number], "rejected": rejected}
            work.notes["parity"] = notes["parity"]
            return
        rejected.append(f"with {names[number]}: {notes[REJECTED]}")
        if len(rejected) == len(names):
            raise StepFailed("\n  ".join(["no way of exporting gives a right graph:", *rejected]))


def in_child(attempt: Attempt, folder: Path, place: Path, work: Work) -> dict[str, Any]:
    """Runs an attempt in a process of its own: what it leaves behind, or a crash, cannot reach the next one.

    Raises:
        StepFailed: It says so, or its process died before the model had run in PyTorch.
    """
    try:
        for progress in run_pass(attempt, {"model": folder}, place, work.scratch, work.tools or work.scratch):
            work.progress(*progress)
    except StepFailed as death:
        if not read_strategies(work.scratch):
            raise StepFailed(f"running the model in PyTorch: {death.message}", hint=death.hint) from None
        return {REJECTED: death.message}
    finally:
        sys.stdout.write((place / "log.txt").read_text(errors="replace"))  # for the repro folder of the pass
    notes: dict[str, Any] = result_of(place)["notes"]
    return notes
