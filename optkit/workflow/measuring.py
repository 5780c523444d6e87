"""`optkit eval`: score models without a recipe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optkit.core.errors import UsageError
from optkit.core.gates import Estimate
from optkit.core.linking import DATA
from optkit.core.options import build_from_texts
from optkit.core.recipe import Step
from optkit.core.results import Interval, MetricResult
from optkit.core.validate import did_you_mean
from optkit.runtimes import check_installed
from optkit.workflow.models import new_execution
from optkit.workflow.opening import open_all
from optkit.workflow.tables import load_tables

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from optkit.core.events import Event
    from optkit.core.recipe import DataSpec
    from optkit.measure.metrics.base import Metric
    from optkit.workflow.models import OpenedModel


def evaluate(  # noqa: PLR0913, PLR0917  # what the command takes
    models: Sequence[Path],
    store: Path,
    data: DataSpec,
    kind: str,
    options: Sequence[str],
    runtimes: Sequence[str] = (),
) -> Generator[Event, None, dict[str, MetricResult]]:
    """Scores models on a part of a dataset; all but the first are paired with the first.

    Returns:
        Model as named → the metric.

    Raises:
        UsageError: The metric, the data and the model do not fit each other, or `runtimes` does not fit them.
        MissingDependency: A runtime's library is absent.
    """
    from pathlib import Path

    from optkit.data.source import dataset_source
    from optkit.measure.accuracy import compare
    from optkit.measure.predictions import read_predictions

    execution = new_execution(store, store / "repro")
    metric = _metric(kind, options)
    part = dataset_source(Path(data.dataset), data.split, data.samples, execution.store.digests.file)
    for name in runtimes:
        check_installed(name)
    opened = yield from open_all(models, runtimes, execution)
    execution.sources = {**execution.sources, DATA + "evaluation": part}
    predictions = []
    for model in opened:
        step = _prediction(model, metric.output)
        yield from execution.execute(step)
        yield from execution.materialise(step.name)
        predictions.append(read_predictions(execution.path(step.name)))
    results: dict[str, MetricResult] = {}
    for model, predicted in zip(opened, predictions, strict=True):
        found = compare(kind, metric, predictions[0], predicted)
        results[model.name] = MetricResult(
            name=kind,
            kind=kind,
            data=data.split or "all",
            samples=found.count,
            baseline=Interval(found.baseline, *found.baseline_interval),
            candidate=Interval(found.candidate, *found.candidate_interval),
            drop=Estimate(found.drop, found.drop_lower, found.drop_upper),
        )
    return results


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
