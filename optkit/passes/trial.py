"""Whether a rewritten graph may take the place of the one before: fits the interface, no more nodes, same values."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from optkit.core import interface as interfaces
from optkit.core.errors import OptkitError, StepFailed
from optkit.graph.walk import operator_count
from optkit.measure.parity import check_parity
from optkit.measure.recorded import record
from optkit.passes.onnx_step import emptied, open_mapped, parity_note, write_model

if TYPE_CHECKING:
    from pathlib import Path

    import onnx_ir as ir

    from optkit.runtimes.session import Session


class Trial:
    """Compares candidates with the graph of an ONNX artifact.

    It runs once, and its answers are kept on disk: two large graphs would not fit in memory.

    Args:
        folder: The artifact.
        answers: Where its answers are kept.
        tolerance: Largest change, relative to the largest value of an output, that is rounding.
        nodes: How many nodes a candidate may have.
    """

    def __init__(self, folder: Path, answers: Path, tolerance: float, nodes: int) -> None:
        self._folder = folder
        self._answers = answers
        self._interface = interfaces.read(folder)
        self._tolerance = tolerance
        self._nodes = nodes

    def check(self, model: ir.Model, out: Path) -> dict[str, object]:
        """Writes a candidate to `out` and returns what to note of its parity.

        Raises:
            StepFailed: It is not to be kept; says why.
        """
        after = operator_count(model)
        if after > self._nodes:
            raise StepFailed(f"it would have {after} nodes instead of {self._nodes}")
        write_model(model, self._interface, out)
        report = check_parity(self._reference, open_mapped(out), self._interface, self._tolerance)
        return parity_note(report)

    @cached_property
    def _reference(self) -> Session:
        return record(open_mapped(self._folder), self._interface, emptied(self._answers))


def reason_of(error: Exception) -> str:
    """Returns why a rewrite is not kept, in one line."""
    return error.message if isinstance(error, OptkitError) else f"{type(error).__name__}: {error}".splitlines()[0]
