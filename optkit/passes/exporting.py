"""How the `export` pass works: strategies are tried until a graph computes what PyTorch does."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from optkit.core import interface as interfaces
from optkit.core.errors import StepFailed
from optkit.graph.clean import clean
from optkit.graph.ends import set_ends
from optkit.graph.save import save_model
from optkit.graph.shapes import refresh_shapes
from optkit.measure.feeding import made_up_inputs, with_outputs
from optkit.measure.parity import check_parity
from optkit.passes.capture import STRATEGIES, Job, Unfit, capture_program, strategies
from optkit.passes.observed import observe_outputs, refuse_nan, shape_conflict
from optkit.passes.onnx_step import move_artifact, open_runtime, parity_note, write_model
from optkit.runtimes.torch_model import PROGRAM_FILE, code_folder, load_module, load_program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import onnx_ir as ir

    from optkit.core.interface import Interface
    from optkit.core.passes import Work
    from optkit.measure.parity import ParityReport

    Attempt = tuple[str, Callable[[Path], ir.Model]]


def export(folder: Path, opset: int | None, tolerance: float, work: Work) -> None:
    """Exports the PyTorch artifact at `folder` in the first way that gives a right graph.

    Raises:
        StepFailed: The model does not run, gives NaN, or no exporter gives a right graph; says why for each.
    """
    interface = _checked(folder, interfaces.read(folder))
    reasons: list[str] = []
    for name, capture in _attempts(folder, interface, opset):
        work.progress(0.1 + 0.2 * len(reasons), f"exporting with {name}")
        scratch = work.scratch / f"attempt{len(reasons)}"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        try:
            report = _accept(capture(scratch), folder, interface, scratch / "accepted", tolerance)
        except Unfit as error:
            reasons.append(f"with {name}: {error}")
            continue
        move_artifact(scratch / "accepted", work.out)
        work.notes["export"] = {"strategy": name, "rejected": reasons}
        work.notes["parity"] = parity_note(report)
        return
    raise StepFailed("no way of exporting gives a right graph:\n" + "\n".join(f"  {line}" for line in reasons))


def _attempts(folder: Path, interface: Interface, opset: int | None) -> Iterator[Attempt]:
    code = code_folder(folder)
    if (folder / PROGRAM_FILE).exists():
        program = load_program(folder)
        yield "the exported program", lambda _scratch: capture_program(program, interface, opset, code)
        return
    for name in strategies(load_module(folder)):
        # Each attempt has a module of its own: a failed capture may leave patched attributes behind.
        job = Job(load_module(folder), interface, code, opset)
        yield name, partial(STRATEGIES[name], job)


def _accept(model: ir.Model, folder: Path, interface: Interface, out: Path, tolerance: float) -> ParityReport:
    """Writes the graph to `out` and returns how close it is to PyTorch.

    Raises:
        Unfit: It lost an input or a dynamic axis, does not run, or differs from PyTorch somewhere.
        StepFailed: It contradicts what the recipe declares.
    """
    clean(model, code_folder(folder))
    names = [[tensor.name for tensor in tensors] for tensors in (interface.inputs, interface.outputs)]
    conflict = set_ends(model, *names)
    if conflict:
        raise Unfit(conflict)
    refresh_shapes(model)
    with _as_unfit():
        true = _observed(model, interface, out)
    _check_declared(interface, true)
    with _as_unfit():
        write_model(model, true, out)
        return check_parity(open_runtime("torch", folder), open_runtime("onnxruntime", out), true, tolerance)


def _checked(folder: Path, interface: Interface) -> Interface:
    """Runs the model once in PyTorch, and returns its interface with every output named."""
    results = open_runtime("torch", folder).run(made_up_inputs(interface, interface.sizes("opt"), seed=0))
    refuse_nan(results, "PyTorch")
    return with_outputs(interface, results)


def _observed(model: ir.Model, interface: Interface, out: Path) -> Interface:
    for tensor, value in zip(interface.inputs, model.graph.inputs, strict=True):
        found = value.shape
        for axis, size in enumerate(tensor.shape):
            if isinstance(size, str) and (found is None or isinstance(found[axis], int)):
                raise Unfit(f"input {tensor.name}: axis {axis} ({size}) became fixed at {found and found[axis]}")
    out.mkdir()
    save_model(model, out)
    return observe_outputs(open_runtime("onnxruntime", out), interface)


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
