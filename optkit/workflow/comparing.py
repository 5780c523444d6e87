"""`optkit compare`: two models or two runs, told apart by what they are."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from optkit.core import interface
from optkit.core.errors import UsageError
from optkit.workflow.inspecting import inspect
from optkit.workflow.models import new_execution, open_model
from optkit.workflow.output import REPORT
from optkit.workflow.shared_inputs import shared_inputs

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from pathlib import Path

    from optkit.core.events import Event
    from optkit.core.results import RunReport
    from optkit.workflow.models import OpenedModel

SEED = 0


def compare(first: Path, second: Path, store: Path) -> Generator[Event, None, dict[str, Any]]:
    """Returns what differs, section by section: name → (first, second), or output → errors.

    Raises:
        UsageError: They are not two models or two runs.
    """
    runs = [(path / REPORT).is_file() for path in (first, second)]
    if all(runs):
        return _compare_runs(first, second)
    if any(runs):
        raise UsageError(f"{first} and {second} are not of one kind", hint="give two runs, or two models")
    return (yield from _compare_models(first, second, store))


def _compare_runs(first: Path, second: Path) -> dict[str, Any]:
    from optkit.report.json_report import read_json

    before, after = read_json(first / REPORT), read_json(second / REPORT)
    return {
        "steps": _changed({step.name: step.digest for step in before.steps}, {s.name: s.digest for s in after.steps}),
        "options": _changed(_options(before), _options(after)),
        "machine": _changed(_machine(before), _machine(after)),
        "numbers": _changed(_numbers(before), _numbers(after)),
    }


def _options(report: RunReport) -> dict[str, Any]:
    return {f"{step.name}.{name}": value for step in report.steps for name, value in step.options.items()}


def _machine(report: RunReport) -> dict[str, Any]:
    where = report.provenance
    return {**where.versions, "python": where.python, "cpu": where.cpu, "cores": where.cores, **where.sources}


def _numbers(report: RunReport) -> dict[str, Any]:
    numbers: dict[str, Any] = {"outcome": report.outcome}
    for candidate in report.candidates:
        name = candidate.name
        numbers[f"{name}.size_bytes"] = candidate.size_bytes
        numbers |= {f"{name}.{metric.name}": metric.candidate.value for metric in candidate.metrics}
        if candidate.timing:
            numbers[f"{name}.p50_ms"] = candidate.timing.p50_ms
        if candidate.speedup:
            numbers[f"{name}.speedup"] = candidate.speedup.value
    return numbers


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    names = sorted(before.keys() | after.keys())
    return {name: (before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)}


def _compare_models(first: Path, second: Path, store: Path) -> Generator[Event, None, dict[str, Any]]:
    execution = new_execution(store, store / "repro")
    before = yield from open_model(first, execution, str(first))
    after = yield from open_model(second, execution, str(second))
    found: dict[str, Any] = {}
    if before.kind == after.kind == "onnx":
        facts = [asdict(inspect(model.folder)) for model in (before, after)]
        for section in ("operators", "weight_types", "opsets"):
            found[section] = _changed(facts[0][section], facts[1][section])
        numbers = [{key: fact[key] for key in ("parameters", "weight_bytes", "quantized")} for fact in facts]
        found["weights"] = _changed(*numbers)
    found["outputs"] = _output_errors(before, after)
    return found


def _output_errors(before: OpenedModel, after: OpenedModel) -> dict[str, dict[str, float]]:
    """Runs both on made-up inputs at the tuned sizes."""
    from optkit.measure.feeding import made_up_inputs
    from optkit.measure.parity import compare_outputs
    from optkit.runtimes import runtime_named

    names, folders = zip(*((model.name, model.folder) for model in (before, after)), strict=True)
    shapes = shared_inputs(names, [interface.read(folder) for folder in folders])
    inputs = made_up_inputs(shapes, shapes.sizes("opt"), SEED)
    results = [runtime_named(model.runtime).open(model.folder, 1).run(inputs) for model in (before, after)]
    errors = compare_outputs(*results)
    return {error.output: {key: value for key, value in asdict(error).items() if key != "output"} for error in errors}
