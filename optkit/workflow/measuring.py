"""`optkit eval`: score models without a recipe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optkit.core.errors import UsageError
from optkit.core.gates import Gate, SliceGate
from optkit.core.linking import DATA
from optkit.core.options import build_from_texts
from optkit.core.recipe import MetricUse, Step
from optkit.core.validate import did_you_mean
from optkit.runtimes.table import check_installed
from optkit.workflow.models import new_execution
from optkit.workflow.opening import open_all
from optkit.workflow.scoring import check_part, metric_result
from optkit.workflow.tables import load_tables

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from optkit.core.events import Event
    from optkit.core.recipe import DataSpec
    from optkit.core.results import MetricResult
    from optkit.measure.metrics.base import Metric
    from optkit.workflow.models import OpenedModel


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
    for name in runtimes:
        check_installed(name)
    opened = yield from open_all(models, runtimes, execution)
    execution.sources = {**execution.sources, DATA + "evaluation": part}
    predictions = []
    for model in opened:
        step = _prediction(model, metric.outputs)
        yield from execution.execute(step)
        yield from execution.materialise(step.name)
        predictions.append(read_predictions(execution.path(step.name)))
    gate, classes = Gate(each={name: SliceGate() for name in each}), class_names_of(part)
    return {
        model.name: metric_result(use, predictions[0], predicted, gate, classes)
        for model, predicted in zip(opened, predictions, strict=True)
    }


def _prediction(model: OpenedModel, outputs: tuple[str, ...]) -> Step:
    from optkit.passes.predict import Predict

    do = Predict(runtime=model.runtime, outputs=outputs)
    return Step(f"{model.name} on data", do, {"model": model.reference, "data": DATA + "evaluation"})


def _metric(kind: str, options: Sequence[str]) -> Metric:
    metrics = load_tables().metrics
    if kind not in metrics:
        raise UsageError(f"no metric {kind!r}", hint=did_you_mean(kind, metrics))
    metric: Metric = build_from_texts(metrics[kind], options, "--option")
    return metric
