"""`optkit bench` and `optkit eval`: measure models without a recipe."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from optkit.core import interface
from optkit.core.errors import UsageError
from optkit.core.gates import Estimate, Gate, SliceGate
from optkit.core.linking import DATA
from optkit.core.options import build_from_texts
from optkit.core.recipe import MetricUse, Step
from optkit.core.validate import did_you_mean
from optkit.runtimes import check_installed, runtime_named
from optkit.workflow import timing
from optkit.workflow.models import OpenedModel, new_execution, open_model
from optkit.workflow.scoring import check_part, metric_result
from optkit.workflow.shared_inputs import shared_inputs
from optkit.workflow.tables import load_tables

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from optkit.core.events import Event
    from optkit.core.recipe import DataSpec
    from optkit.core.results import MetricResult, Timing
    from optkit.core.runner import Execution
    from optkit.measure.metrics.base import Metric


def bench(  # noqa: PLR0913, PLR0917  # what the command takes
    models: Sequence[Path],
    store: Path,
    threads: int,
    seconds: float,
    precision: float,
    runtimes: Sequence[str] = (),
    *,
    profile: bool = False,
) -> Generator[Event, None, dict[str, tuple[Timing, Estimate | None]]]:
    """Times models interleaved, the first being the one that the others are compared with.

    Returns:
        Model as named → its timing and, but for the first, its speed-up over the first.

    Raises:
        UsageError: The models take different inputs, or `runtimes` does not fit them; see `_with_runtimes`.
        MissingDependency: A runtime's library is absent.
    """
    from optkit.measure.latency_report import Subject

    execution = new_execution(store, store / "repro")
    opened = _with_runtimes((yield from _open_all(models, execution)), runtimes)
    subjects = [Subject(model.name, model.runtime, model.folder, threads) for model in opened]
    names = [model.name for model in opened]
    shape = shared_inputs(names, [interface.read(model.folder) for model in opened])
    report = yield from timing.run(subjects, shape, seconds, precision, profile=profile)
    results: dict[str, tuple[Timing, Estimate | None]] = {}
    for model in opened:
        speedup = report.feeds[-1].speedups.get(model.name)
        timed = timing.timing_of(report, model.name, model.runtime, threads, shape.sizes("opt"))
        results[model.name] = timed, None if speedup is None else Estimate(speedup.ratio, *speedup.interval)
    return results


def evaluate(  # noqa: PLR0913, PLR0917  # what the command takes
    models: Sequence[Path],
    store: Path,
    data: DataSpec,
    kind: str,
    options: Sequence[str],
    runtimes: Sequence[str] = (),
    each: Sequence[str] = (),
) -> Generator[Event, None, dict[str, MetricResult]]:
    """Scores models on a part of a dataset, and on its slices; all but the first are paired with the first.

    Returns:
        Model as named → the metric.

    Raises:
        UsageError: The metric, the data and the model do not fit each other, or `runtimes` does not fit them.
        MissingDependency: A runtime's library is absent.
    """
    from pathlib import Path

    from optkit.data.selection import class_names_of
    from optkit.data.source import dataset_source
    from optkit.measure.predictions import read_predictions

    execution = new_execution(store, store / "repro")
    metric = _metric(kind, options)
    use = MetricUse(kind, kind, metric, data.split or "all")
    part = dataset_source(Path(data.dataset), data.split, data.samples, execution.store.digests.file)
    check_part(use, each, part)
    opened = _with_runtimes((yield from _open_all(models, execution)), runtimes)
    execution.sources = {**execution.sources, DATA + "evaluation": part}
    predictions = []
    for model in opened:
        step = _prediction(model, metric.output)
        yield from execution.execute(step)
        yield from execution.materialise(step.name)
        predictions.append(read_predictions(execution.path(step.name)))
    gate, classes = Gate(each={name: SliceGate() for name in each}), class_names_of(part)
    return {
        model.name: metric_result(use, predictions[0], predicted, gate, classes)
        for model, predicted in zip(opened, predictions, strict=True)
    }


def _open_all(models: Sequence[Path], execution: Execution) -> Generator[Event, None, list[OpenedModel]]:
    opened: list[OpenedModel] = []
    for number, path in enumerate(models, 1):
        name = f"{path} ({number})" if path in models[: number - 1] else str(path)
        opened.append((yield from open_model(path, execution, name)))
    return opened


def _with_runtimes(models: list[OpenedModel], names: Sequence[str]) -> list[OpenedModel]:
    """Returns the models as the runtimes called `names` run them.

    One name is meant for every model that it can open, several for one model each.
    """
    for name in names:
        check_installed(name)
    if len(names) == 1:
        (name,) = names
        fitting = [model.kind in runtime_named(name).kinds for model in models]
        if not any(fitting):
            raise UsageError(f"the runtime {name} opens no model of kind {models[0].kind}")
        return [replace(m, runtime=name) if fits else m for m, fits in zip(models, fitting, strict=True)]
    if names and len(names) != len(models):
        raise UsageError(f"{len(names)} runtimes for {len(models)} models", hint="give one, or one for each model")
    for model, name in zip(models, names, strict=False):
        if model.kind not in runtime_named(name).kinds:
            raise UsageError(f"the runtime {name} does not open {model.name}, which is of kind {model.kind}")
    return [replace(model, runtime=name) for model, name in zip(models, names, strict=False)] or models


def _prediction(model: OpenedModel, output: str) -> Step:
    from optkit.passes.predict import Predict

    do = Predict(runtime=model.runtime, outputs=(output,))
    return Step(f"{model.name} on data", do, {"model": model.reference, "data": DATA + "evaluation"})


def _metric(kind: str, options: Sequence[str]) -> Metric:
    metrics = load_tables().metrics
    if kind not in metrics:
        raise UsageError(f"no metric {kind!r}", hint=did_you_mean(kind, metrics))
    metric: Metric = build_from_texts(metrics[kind], options, "--option")
    return metric
