"""What every ONNX → ONNX step does around its own work."""

from __future__ import annotations

import math
import os
import shutil
from dataclasses import asdict
from typing import TYPE_CHECKING

from optkit.core import interface as interfaces
from optkit.core.errors import StepFailed
from optkit.graph.clean import clean
from optkit.graph.describe import apply_interface, check_interface
from optkit.graph.load import load_model
from optkit.graph.save import MODEL_FILE, has_data_file, save_model
from optkit.graph.session import open_graph
from optkit.runtimes.table import RUNTIMES

if TYPE_CHECKING:
    from pathlib import Path

    import onnx_ir as ir

    from optkit.core.interface import Interface
    from optkit.measure.parity import OutputDifference, ParityReport
    from optkit.runtimes.session import Session


def read_model(folder: Path) -> tuple[ir.Model, Interface]:
    """Returns the graph and the interface of the ONNX artifact at `folder`.

    Raises:
        UsageError: The file is damaged.
    """
    return load_model(folder / MODEL_FILE), interfaces.read(folder)


def write_model(model: ir.Model, interface: Interface, folder: Path) -> Path:
    """Writes an ONNX artifact whose inputs and outputs are those of `interface`; returns the file.

    Raises:
        StepFailed: The graph has lost an input, an output or a dynamic axis.
    """
    conflict = check_interface(model, interface)
    if conflict:
        raise StepFailed(f"the graph no longer fits its interface: {conflict}")
    apply_interface(model, interface)
    clean(model)
    folder.mkdir(parents=True, exist_ok=True)
    interfaces.write(folder, interface)
    return save_model(model, folder)


def move_artifact(source: Path, destination: Path) -> None:
    """Moves the files of a finished artifact into `destination`."""
    destination.mkdir(parents=True, exist_ok=True)
    for file in sorted(source.iterdir()):
        shutil.move(file, destination / file.name)


def emptied(folder: Path) -> Path:
    """Returns `folder`, made anew: what an earlier attempt left there is gone."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def open_runtime(name: str, folder: Path) -> Session:
    """Opens an artifact with all cores: what is checked here is never timed."""
    return RUNTIMES[name].open(folder, os.cpu_count() or 1)


def open_mapped(folder: Path) -> Session:
    """Opens an ONNX artifact with all cores; the weights of a large one stay where they are, in the file."""
    from optkit.runtimes.onnxruntime_cpu import OnnxRuntimeSession

    if not has_data_file(folder):
        return open_runtime("onnxruntime", folder)
    return OnnxRuntimeSession.of(open_graph(folder / MODEL_FILE, optimize=False))


def parity_note(report: ParityReport) -> dict[str, object]:
    """Returns what a record keeps of a parity check, as JSON values."""
    note: dict[str, object] = {"cases": [case.inputs for case in report.cases], "notes": list(report.notes)}
    if report.worst is not None:
        case, error = report.worst
        note["worst"] = {"at": case.inputs, "output": error.output, **error_note(error)}
    return note


def error_note(error: OutputDifference) -> dict[str, float | None]:
    """Returns the measures of an output's error; JSON has no infinity, so that an exact match reads None."""
    values = asdict(error)
    del values["output"]
    return {key: value if math.isfinite(value) else None for key, value in values.items()}
