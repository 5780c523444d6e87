"""What an export is compared with: the model's own answers in PyTorch, kept on disk for all attempts."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from optkit.core import interface as interfaces
from optkit.core.errors import StepFailed
from optkit.measure.feeding import made_up_inputs, with_outputs
from optkit.measure.recorded import Recorded, record
from optkit.passes.capture import strategies
from optkit.passes.observed import refuse_nan, refuse_random, shape_conflict, with_shapes
from optkit.passes.onnx_step import emptied
from optkit.runtimes.torch_eager import open_session

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from optkit.core.interface import Interface
    from optkit.runtimes.session import Session

_FOLDER, _DONE = "reference", "strategies.json"


def make_reference(folder: Path, scratch: Path) -> None:
    """Runs the model at `folder` in PyTorch at every size that is compared; `read_reference` reads what it gave.

    Raises:
        StepFailed: It does not run, is not deterministic, gives NaN, or contradicts what the recipe declares.
    """
    place = emptied(scratch / _FOLDER)
    session = open_session(folder, os.cpu_count() or 1)
    interface = interfaces.read(folder)
    inputs = made_up_inputs(interface, interface.sizes("opt"), seed=0)
    results = _declared_inputs_fit(session, inputs)
    refuse_nan(results, "PyTorch")
    refuse_random(results, session.run(inputs))
    interface = with_outputs(interface, results)
    answers = record(session, interface, place)
    true = with_shapes(interface, {name: array.dtype.name for name, array in results.items()}, answers.seen)
    _check_declared(interface, true)
    answers.save()
    interfaces.write(place, true)
    (place / _DONE).write_text(json.dumps(strategies(session.module)))  # last: from now on the reference is there


def read_reference(scratch: Path) -> tuple[Recorded, Interface]:
    """Returns the model's answers, and its interface with the outputs as they were seen."""
    return Recorded.load(scratch / _FOLDER), interfaces.read(scratch / _FOLDER)


def read_strategies(scratch: Path) -> list[str]:
    """Returns the ways of exporting the model, in the order to try; none if it did not get to run in PyTorch."""
    done = scratch / _FOLDER / _DONE
    names: list[str] = json.loads(done.read_text()) if done.exists() else []
    return names


def _declared_inputs_fit(session: Session, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    try:
        return session.run(inputs)
    except StepFailed as error:
        given = ", ".join(f"{name} {array.dtype}{list(array.shape)}" for name, array in inputs.items())
        hint = error.hint or f"it was given {given}, as the recipe declares: correct dtypes, shapes or ranges there"
        raise StepFailed(error.message, hint=hint) from error


def _check_declared(interface: Interface, true: Interface) -> None:
    for declared, observed in zip(interface.outputs, true.outputs, strict=True):
        conflict = shape_conflict(declared, observed)
        if conflict:
            raise StepFailed(conflict, hint="correct `outputs` in the recipe, or the model")
