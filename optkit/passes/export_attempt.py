"""One way of exporting, tried in a process of its own."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from optkit.core.errors import StepFailed
from optkit.core.passes import Pass
from optkit.graph.clean import clean
from optkit.graph.ends import set_ends
from optkit.graph.shapes import refresh_shapes
from optkit.graph.walk import initializers
from optkit.measure.parity import check_parity
from optkit.passes.capture import PROGRAM, STRATEGIES, Job, Unfit, capture_program
from optkit.passes.export_reference import make_reference, read_reference, read_strategies
from optkit.passes.onnx_step import emptied, open_runtime, parity_note, write_model
from optkit.runtimes.torch_model import code_folder, load_module, load_program

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import onnx_ir as ir

    from optkit.core.interface import Interface
    from optkit.core.passes import Work
    from optkit.measure.parity import ParityReport

REJECTED = "rejected"
"""The note that says why an attempt gave no right graph."""


@dataclass(frozen=True)
class Attempt(Pass):
    """Captures a model in one way and accepts the graph if it computes what PyTorch does.

    The first attempt also runs the model in PyTorch, and leaves in `scratch` what all of them compare with.
    """

    roles: ClassVar[Mapping[str, frozenset[str]]] = {"model": frozenset({"torch", "program"})}
    produces: ClassVar[str] = "onnx"

    number: int
    """Which of the model's strategies, from 0."""
    opset: int
    """ONNX operator set."""
    tolerance: float
    """Largest difference from PyTorch, relative to the largest value of an output."""

    def run(self, inputs: Mapping[str, Path], work: Work) -> None:
        """Writes the graph and notes how close it is, or notes why it is rejected.

        Raises:
            StepFailed: The model does not run in PyTorch, or no strategy can export it.
        """
        folder = inputs["model"]
        if not self.number:
            work.progress(0.0, "running the model in PyTorch")
            make_reference(folder, work.scratch)
        name = read_strategies(work.scratch)[self.number]
        work.progress(0.1 + 0.2 * self.number, f"exporting with {name}")
        try:
            self._write(name, folder, work)
            gc.collect()  # the module, which cycles hold, must not stay in memory beside the session
            work.notes["parity"] = parity_note(self._checked(work))
        except Unfit as error:
            work.notes[REJECTED] = str(error)

    def _write(self, name: str, folder: Path, work: Work) -> None:
        interface, code = read_reference(work.scratch)[1], code_folder(folder)
        model = self._captured(name, folder, interface, code, work.scratch / "capture")
        _fit(model, interface, code)
        with _as_unfit():
            write_model(model, interface, work.out)
        _drop_weights(model)

    def _captured(self, name: str, folder: Path, interface: Interface, code: Path, scratch: Path) -> ir.Model:
        if name == PROGRAM:
            return capture_program(load_program(folder), interface, self.opset, code)
        # The module that ran is another one: running may have changed it.
        return STRATEGIES[name](Job(load_module(folder), interface, code, self.opset), emptied(scratch))

    def _checked(self, work: Work) -> ParityReport:
        reference, interface = read_reference(work.scratch)
        with _as_unfit():
            return check_parity(reference, open_runtime("onnxruntime", work.out), interface, self.tolerance)


def _drop_weights(model: ir.Model) -> None:
    """Leaves a graph without weights: the exporter's rewrite rules hold on to the last node that they saw."""
    for value, _ in list(initializers(model)):
        value.const_value = None


def _fit(model: ir.Model, interface: Interface, code: Path) -> None:
    """Names the graph's inputs and outputs as the interface does.

    Raises:
        Unfit: It lost one of them, or a dynamic axis.
    """
    clean(model, code)
    names = [[tensor.name for tensor in tensors] for tensors in (interface.inputs, interface.outputs)]
    conflict = set_ends(model, *names)
    if conflict:
        raise Unfit(conflict)
    refresh_shapes(model)
    _check_axes(model, interface)


def _check_axes(model: ir.Model, interface: Interface) -> None:
    for tensor, value in zip(interface.inputs, model.graph.inputs, strict=True):
        found = value.shape
        for axis, size in enumerate(tensor.shape):
            if isinstance(size, str) and (found is None or isinstance(found[axis], int)):
                raise Unfit(f"input {tensor.name}: axis {axis} ({size}) became fixed at {found and found[axis]}")


@contextmanager
def _as_unfit() -> Iterator[None]:
    """Another way of exporting may do better than the one whose graph fails here."""
    try:
        yield
    except StepFailed as error:
        raise Unfit(error.message) from error
