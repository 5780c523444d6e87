"""Keeps a rewrite only if the graph still computes the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optkit.core.errors import OptkitError, StepFailed
from optkit.graph.walk import operator_count
from optkit.measure.parity import check_parity
from optkit.measure.recorded import record
from optkit.passes.onnx_step import emptied, move_artifact, open_runtime, parity_note, read_model, write_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import onnx_ir as ir

    from optkit.core.passes import Work

    Rewrite = Callable[[ir.Model], ir.Model]


def rewrite_checked(folder: Path, work: Work, name: str, rewrite: Rewrite, tolerance: float) -> None:
    """Writes the rewritten graph to `work.out`, or the graph as it was, with the reason in `work.notes[name]`.

    Third-party rewrites are not trusted: whatever they raise, a broken interface, more nodes or lost parity all mean
    that the graph stays as it was.
    """
    try:
        note = _candidate(folder, work, work.scratch / name, rewrite, tolerance)
    except Exception as error:  # noqa: BLE001  # a third party's rewrite may raise anything
        reason = error.message if isinstance(error, OptkitError) else f"{type(error).__name__}: {error}".splitlines()[0]
        work.notes[name] = {"applied": False, "reason": reason}
        write_model(*read_model(folder), work.out)
        return
    work.notes[name] = {"applied": True, **note}
    move_artifact(work.scratch / name, work.out)


def _candidate(folder: Path, work: Work, out: Path, rewrite: Rewrite, tolerance: float) -> dict[str, object]:
    """Writes the rewritten graph to `out` and returns what to note; raises if it is not to be kept."""
    model, interface = read_model(folder)
    before = operator_count(model)
    rewritten = rewrite(model)
    after = operator_count(rewritten)
    if after > before:
        raise StepFailed(f"it would have {after} nodes instead of {before}")
    write_model(rewritten, interface, out)
    del model, rewritten
    work.progress(0.6, "comparing with the graph before")
    # One session at a time: each holds a copy of the weights.
    reference = record(open_runtime("onnxruntime", folder), interface, emptied(work.scratch / "reference"))
    report = check_parity(reference, open_runtime("onnxruntime", out), interface, tolerance)
    return {"nodes": [before, after], "parity": parity_note(report)}
