"""How the `export` pass works: strategies are tried until a graph computes what PyTorch does."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from optkit.core import interface as interfaces
from optkit.core.errors import StepFailed
from optkit.graph.clean import clean
from optkit.graph.ends import set_ends
from optkit.graph.shapes import refresh_shapes
from optkit.measure.feeding import made_up_inputs, with_outputs
from optkit.measure.parity import check_parity
from optkit.measure.recorded import record
from optkit.passes.capture import STRATEGIES, Job, Unfit, capture_program, strategies
from optkit.passes.observed import refuse_nan, refuse_random, shape_conflict, with_shapes
from optkit.passes.onnx_step import emptied, move_artifact, open_runtime, parity_note, write_model
from optkit.runtimes.torch_model import PROGRAM_FILE, code_folder, load_module, load_program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    import onnx_ir as ir
    from numpy.typing import NDArray

    from optkit.core.interface import Interface
    from optkit.core.passes import Work
    from optkit.measure.parity import ParityReport
    from optkit.measure.recorded import Recorded
    from optkit.runtimes.session import Session

    Attempt = tuple[str, Callable[[Path], ir.Model]]


def export(folder: Path, opset: int, tolerance: float, work: Work) -> None:
    """Exports the PyTorch artifact at `folder` in the first way that gives a right graph.

    Raises:
        StepFailed: The model does not run, gives NaN, or no exporter gives a right graph; says why for each.
    """
    work.progress(0.0, "running the model in PyTorch")
    reference, interface = _reference(folder, work.scratch)
    reasons: list[str] = []
    for name, capture in _attempts(folder, interface, opset):
        work.progress(0.1 + 0.2 * len(reasons), f"exporting with {name}")
        scratch = emptied(work.scratch / f"attempt{len(reasons)}")
        try:
            report = _accept(capture(scratch), folder, interface, reference, tolerance, scratch / "accepted")
        except Unfit as error:
            reasons.append(f"with {name}: {error}")
            continue
        move_artifact(scratch / "accepted", work.out)
        work.notes["export"] = {"strategy": name, "rejected": reasons}
        work.notes["parity"] = parity_note(report)
        return
    raise StepFailed("no way of exporting gives a right graph:\n" + "\n".join(f"  {line}" for line in reasons))


def _reference(folder: Path, scratch: Path) -> tuple[Recorded, Interface]:
    """Runs the model in PyTorch at every size that is compared; returns its answers and its true interface.

    Raises:
        StepFailed: It does not run, is not deterministic, gives NaN, or contradicts what the recipe declares.
    """
    session = open_runtime("torch", folder)
    interface = interfaces.read(folder)
    inputs = made_up_inputs(interface, interface.sizes("opt"), seed=0)
    results = _declared_inputs_fit(session, inputs)
    refuse_nan(results, "PyTorch")
    refuse_random(results, session.run(inputs))
    interface = with_outputs(interface, results)
    reference = record(session, interface, emptied(scratch / "reference"))
    true = with_shapes(interface, {name: array.dtype.name for name, array in results.items()}, reference.seen)
    _check_declared(interface, true)
    return reference, true


def _declared_inputs_fit(session: Session, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    try:
        return session.run(inputs)
    except StepFailed as error:
        given = ", ".join(f"{name} {array.dtype}{list(array.shape)}" for name, array in inputs.items())
        hint = error.hint or f"it was given {given}, as the recipe declares: correct dtypes, shapes or ranges there"
        raise StepFailed(error.message, hint=hint) from error


def _attempts(folder: Path, interface: Interface, opset: int) -> Iterator[Attempt]:
    code = code_folder(folder)
    if (folder / PROGRAM_FILE).exists():
        program = load_program(folder)
        yield "the exported program", lambda _scratch: capture_program(program, interface, opset, code)
        return
    for name in strategies(load_module(folder)):
        # Each attempt has a module of its own: a failed capture may leave patched attributes behind.
        yield name, partial(_captured, name, folder, interface, code, opset)


def _captured(name: str, folder: Path, interface: Interface, code: Path, opset: int, scratch: Path) -> ir.Model:  # noqa: PLR0913, PLR0917  # what a `Job` is made of
    return STRATEGIES[name](Job(load_module(folder), interface, code, opset), scratch)


def _accept(  # noqa: PLR0913, PLR0917  # a graph, what it is compared with, and where it goes
    model: ir.Model, folder: Path, interface: Interface, reference: Session, tolerance: float, out: Path
) -> ParityReport:
    """Writes the graph to `out` and returns how close it is to PyTorch.

    Raises:
        Unfit: It lost an input or a dynamic axis, does not run, or differs from PyTorch somewhere.
    """
    clean(model, code_folder(folder))
    names = [[tensor.name for tensor in tensors] for tensors in (interface.inputs, interface.outputs)]
    conflict = set_ends(model, *names)
    if conflict:
        raise Unfit(conflict)
    refresh_shapes(model)
    _check_axes(model, interface)
    with _as_unfit():
        write_model(model, interface, out)
        # The module that was captured must not stay in memory beside the session: cycles hold it.
        del model
        gc.collect()
        return check_parity(reference, open_runtime("onnxruntime", out), interface, tolerance)


def _check_axes(model: ir.Model, interface: Interface) -> None:
    for tensor, value in zip(interface.inputs, model.graph.inputs, strict=True):
        found = value.shape
        for axis, size in enumerate(tensor.shape):
            if isinstance(size, str) and (found is None or isinstance(found[axis], int)):
                raise Unfit(f"input {tensor.name}: axis {axis} ({size}) became fixed at {found and found[axis]}")


def _check_declared(interface: Interface, true: Interface) -> None:
    for declared, observed in zip(interface.outputs, true.outputs, strict=True):
        conflict = shape_conflict(declared, observed)
        if conflict:
            raise StepFailed(conflict, hint="correct `outputs` in the recipe, or the model")


@contextmanager
def _as_unfit() -> Iterator[None]:
    """Another way of exporting may do better than the one whose graph fails here."""
    try:
        yield
    except StepFailed as error:
        raise Unfit(error.message) from error
