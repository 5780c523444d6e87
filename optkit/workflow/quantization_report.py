"""`optkit inspect --quantization`: what is quantized, how well, and why the rest is not."""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optkit.core import interface as interfaces
from optkit.core.errors import StepFailed
from optkit.core.interface import MODEL_JSON
from optkit.workflow.feeds import feed
from optkit.workflow.inspecting import model_file
from optkit.workflow.models import new_execution

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    import onnx_ir as ir
    from numpy.typing import NDArray

    from optkit.core.events import Event
    from optkit.core.interface import Interface
    from optkit.graph.quantized_tensors import QuantizedTensor
    from optkit.quant.tensor_errors import TensorError


@dataclass(frozen=True, slots=True)
class QuantizationReport:
    """What `optkit inspect --quantization` shows.

    Attributes:
        counts: Operator → precision → nodes, read from the graph.
        runtime: Operator → (int8, all) nodes after ONNX Runtime's optimiser on the CPU; empty if nothing is quantized.
        runtime_error: Why ONNX Runtime does not take the graph; empty if it does.
        nodes: The fields of `NodeState`, one mapping per node.
        left_out: Those of `nodes` that are not int8 for a reason, the ones with weights first.
        tensors: The fields of `TensorState` and of `TensorError` (the latter where measured), one mapping per tensor.
    """

    counts: dict[str, dict[str, int]]
    runtime: dict[str, tuple[int, int]]
    runtime_error: str
    nodes: list[dict[str, Any]]
    left_out: list[dict[str, Any]]
    tensors: list[dict[str, Any]]


def inspect_quantization(
    path: Path, against: Path | None, data: Path | None, store: Path
) -> Generator[Event, None, QuantizationReport]:
    """Returns how the model at `path` is quantized.

    Args:
        path: An .onnx file, or a folder that optkit wrote.
        against: The float model, for signal-to-noise ratios per tensor.
        data: Dataset folder or .npz file; its first samples show saturation. Without it, but with `against`, inputs are
            made up.
        store: The store's folder.

    Raises:
        UsageError: A model or the data is broken, or they do not fit each other.
    """
    from optkit.graph.load import load_model
    from optkit.graph.quantization_state import quantization_state, tensor_state
    from optkit.graph.quantized_tensors import quantized_tensors

    file = model_file(path)
    model = load_model(file)
    state = quantization_state(model)
    found = list(quantized_tensors(model))
    errors: Mapping[tuple[str, str], TensorError] = {}
    if data is not None or against is not None:
        given = yield from feed(_interface(path, model), data, new_execution(store, store / "repro"))
        errors = _errors(model, against, found, given)
    runtime, why = _runtime(file) if found else ({}, "")
    return QuantizationReport(
        counts=state.counts(),
        runtime=runtime,
        runtime_error=why,
        nodes=[asdict(node) for node in state.nodes],
        left_out=[asdict(node) for node in state.left_out()],
        tensors=[_row(asdict(tensor_state(tensor)), errors.get((tensor.name, tensor.role))) for tensor in found],
    )


def _row(state: dict[str, Any], error: TensorError | None) -> dict[str, Any]:
    row = {**state, "sqnr_db": None, "rescaled": False}
    if error is not None:
        row |= {"sqnr_db": error.sqnr_db, "rescaled": error.rescaled}
        row["saturated"] = state["saturated"] if error.saturated is None else error.saturated
    return row


def _interface(path: Path, model: ir.Model) -> Interface:
    from optkit.graph.describe import describe

    return interfaces.read(path) if (path / MODEL_JSON).is_file() else describe(model)


def _errors(
    model: ir.Model, against: Path | None, tensors: list[QuantizedTensor], feed: Mapping[str, NDArray[Any]]
) -> dict[tuple[str, str], TensorError]:
    from optkit.graph.load import load_model
    from optkit.quant.tensor_errors import activation_errors, weight_errors

    reference = load_model(model_file(against)) if against is not None else None
    errors: dict[tuple[str, str], TensorError] = {}
    if reference is not None:
        errors = {(name, "weight"): error for name, error in weight_errors(reference, tensors)}
    with tempfile.TemporaryDirectory(prefix="optkit-") as scratch:
        found = activation_errors(model, reference, tensors, feed, Path(scratch))
    return errors | {(name, "activation"): error for name, error in found.items()}


def _runtime(file: Path) -> tuple[dict[str, tuple[int, int]], str]:
    from optkit.quant.int8_nodes import count_int8

    with tempfile.TemporaryDirectory(prefix="optkit-") as scratch:
        try:
            return count_int8(file, Path(scratch)), ""
        except StepFailed as error:
            return {}, error.message
