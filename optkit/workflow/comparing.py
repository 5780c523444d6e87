"""`optkit compare`: two models or two runs, told apart by what they are."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optkit.core import interface
from optkit.core.errors import UsageError
from optkit.core.events import Note
from optkit.workflow.comparing_runs import changed, compare_runs
from optkit.workflow.feeds import SEED, feed
from optkit.workflow.inspecting import inspect
from optkit.workflow.models import new_execution, open_model
from optkit.workflow.output import REPORT
from optkit.workflow.shared_inputs import shared_inputs

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from numpy.typing import NDArray

    from optkit.core.events import Event
    from optkit.core.interface import Interface
    from optkit.passes.layer_errors import LayerComparison
    from optkit.workflow.models import OpenedModel


def compare(first: Path, second: Path, store: Path) -> Generator[Event, None, dict[str, Any]]:
    """Returns what differs, section by section: name → (first, second), or output → errors.

    Raises:
        UsageError: They are not two models or two runs.
    """
    runs = [(path / REPORT).is_file() for path in (first, second)]
    if all(runs):
        return compare_runs(first, second)
    if any(runs):
        raise UsageError(f"{first} and {second} are not of one kind", hint="give two runs, or two models")
    return (yield from _compare_models(first, second, store))


def _compare_models(first: Path, second: Path, store: Path) -> Generator[Event, None, dict[str, Any]]:
    execution = new_execution(store, store / "repro")
    before = yield from open_model(first, execution, str(first))
    after = yield from open_model(second, execution, str(second))
    found = _compare_graphs(before, after) if before.kind == after.kind == "onnx" else {}
    found["outputs"] = _output_errors(before, after)
    return found


def _compare_graphs(before: OpenedModel, after: OpenedModel) -> dict[str, Any]:
    from optkit.graph.difference import ends_difference, nodes_difference, weights_difference
    from optkit.graph.load import load_model
    from optkit.graph.save import MODEL_FILE

    facts = [asdict(inspect(model.folder)) for model in (before, after)]
    graphs = [load_model(model.folder / MODEL_FILE) for model in (before, after)]
    found: dict[str, Any] = {"interface": ends_difference(*graphs)}
    for section in ("operators", "weight_types", "opsets"):
        found[section] = changed(facts[0][section], facts[1][section])
    numbers = [_facts(fact) for fact in facts]
    found["weights"] = changed(*numbers)
    found["nodes"] = asdict(nodes_difference(*graphs))
    found["stored"] = asdict(weights_difference(*graphs))
    return found


def _facts(fact: Mapping[str, Any]) -> dict[str, Any]:
    plain = {key: fact[key] for key in ("parameters", "weight_bytes", "quantized")}
    return plain | {key: fact["cost"][key]["value"] for key in ("macs", "peak_bytes")}


def compare_per_layer(
    first: Path, second: Path, data: Path | None, threshold_db: float | None, store: Path
) -> Generator[Event, None, LayerComparison]:
    """Returns the error of each tensor that two graphs share.

    Args:
        first: The model that is right: an .onnx file or an artifact folder.
        second: The other.
        data: Dataset folder or .npz file, whose first samples are the inputs; without it they are made up.
        threshold_db: SQNR below which a tensor is bad; None for the default.
        store: The store's folder.

    Raises:
        UsageError: They are not two graphs that take the same inputs, or the data does not fit.
        StepFailed: They share no tensor, or one does not run.
    """
    from optkit.passes.layer_errors import check_comparable

    execution = new_execution(store, store / "repro")
    before = yield from open_model(first, execution, str(first))
    after = yield from open_model(second, execution, str(second))
    for model in (before, after):
        if model.kind != "onnx":
            raise UsageError(
                f"{model.name} is no ONNX graph, and only tensors of two graphs can be compared",
                hint=f"`optkit run export {model.name} -o exported`, then compare with that",
            )
    given = yield from feed(_shared(before, after), data, execution)
    found = layer_comparison(before.folder, after.folder, given, threshold_db)
    check_comparable(found, str(first), str(second))
    if data is None and found.first_bad is not None:
        yield Note("the inputs are made up, and calibration may never have seen such: --data gives real ones")
    return found


def layer_comparison(
    first: Path, second: Path, given: Mapping[str, NDArray[Any]], threshold_db: float | None = None
) -> LayerComparison:
    """Returns the error of each tensor that the graphs of two artifacts share, on given inputs.

    Raises:
        StepFailed: They share no tensor, or one does not run.
    """
    from optkit.graph.load import load_model
    from optkit.graph.save import MODEL_FILE
    from optkit.passes.layer_errors import SQNR_DB, compare_layers

    graphs = [load_model(folder / MODEL_FILE) for folder in (first, second)]
    with tempfile.TemporaryDirectory(prefix="optkit-") as scratch:
        return compare_layers(
            graphs[0], graphs[1], given, Path(scratch), SQNR_DB if threshold_db is None else threshold_db
        )


def _shared(before: OpenedModel, after: OpenedModel) -> Interface:
    names, folders = zip(*((model.name, model.folder) for model in (before, after)), strict=True)
    return shared_inputs(names, [interface.read(folder) for folder in folders])


def _output_errors(before: OpenedModel, after: OpenedModel) -> dict[str, dict[str, float]]:
    """Runs both on made-up inputs at the tuned sizes."""
    from optkit.measure.feeding import made_up_inputs
    from optkit.measure.parity import compare_outputs
    from optkit.runtimes.table import runtime_named

    shapes = _shared(before, after)
    inputs = made_up_inputs(shapes, shapes.sizes("opt"), SEED)
    results = [runtime_named(model.runtime).open(model.folder, 1).run(inputs) for model in (before, after)]
    errors = compare_outputs(*results)
    return {error.output: {key: value for key, value in asdict(error).items() if key != "output"} for error in errors}
