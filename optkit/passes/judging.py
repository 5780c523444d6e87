"""Scores int8 graphs against the float one while a search is on; the gates judge on other data, at the end."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optkit.core.errors import UsageError
from optkit.core.validate import build, did_you_mean
from optkit.core.yaml import Document
from optkit.data.dataset import open_dataset
from optkit.measure.accuracy import compare
from optkit.measure.metrics import known_metrics
from optkit.measure.metrics.closeness import Cosine
from optkit.measure.predict import predict
from optkit.measure.predictions import INDEX_FILE, read_predictions
from optkit.passes.calibration import held_out
from optkit.runtimes.table import RUNTIMES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from optkit.core.interface import Interface
    from optkit.data.dataset import Dataset
    from optkit.measure.metrics.base import Metric
    from optkit.measure.predictions import Predictions
    from optkit.passes.quantize import Budget

ONE_ERROR = 0.16
"""A bound at this error is one standard error away from the estimate."""


@dataclass(frozen=True, slots=True)
class Limit:
    """What a metric may lose.

    Attributes:
        metric: The metric.
        max_drop: Largest drop.
        with_error: Whether the drop plus one standard error must hold it; else the drop alone, where the data is too
            small for more.
    """

    metric: Metric
    max_drop: float
    with_error: bool


@dataclass(frozen=True, slots=True)
class Score:
    """One metric of an int8 graph.

    Attributes:
        drop: What is lost on the data that is searched on.
        excess: By how much that, or its bound, is above the limit.
    """

    drop: float
    excess: float


class Judge:
    """Compares graphs with the float one on the data that is searched on.

    Args:
        inputs: Role → artifact: the float model and the data.
        interface: Of the model.
        budget: Metric → what it may lose.
        folder: For predictions; those of the float model are kept there.

    Raises:
        UsageError: A metric is not defined well, or does not fit the model or the data.
    """

    def __init__(
        self, inputs: Mapping[str, Path], interface: Interface, budget: Mapping[str, Budget], folder: Path
    ) -> None:
        self._interface, self._folder = interface, folder
        self.is_held_out = "search" not in inputs
        self._data = held_out(inputs["calibration"]) if self.is_held_out else open_dataset(inputs["search"])
        metrics = {name: metric_of(name, each) for name, each in budget.items()}
        self._outputs = tuple(sorted({name for metric in metrics.values() for name in metric.outputs}))
        self._float = self._predicted(inputs["model"], folder / "float")
        self.limits = {name: self._limit(name, metrics[name], each.max_drop) for name, each in budget.items()}

    @property
    def data(self) -> Dataset:
        """The samples."""
        return self._data

    def scores(self, model: Path) -> dict[str, Score]:
        """Returns metric → score of the artifact at `model`."""
        folder = self._folder / "int8"
        shutil.rmtree(folder, ignore_errors=True)
        predictions = self._predicted(model, folder)
        return {name: self._score(name, limit, predictions) for name, limit in self.limits.items()}

    def cosine(self, model: Path) -> float:
        """Returns the mean cosine to the float model's outputs, of the output where it is lowest."""
        folder = self._folder / "int8"
        shutil.rmtree(folder, ignore_errors=True)
        predictions = self._predicted(model, folder)
        return min(Cosine(name).scores(predictions, self._float).value for name in self._float.outputs)

    def _predicted(self, model: Path, folder: Path) -> Predictions:
        if not (folder / INDEX_FILE).is_file():  # it is written last
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            session = RUNTIMES["onnxruntime"].open(model, os.cpu_count() or 1)
            for _ in predict(session, self._interface, self._data, self._outputs, folder):
                pass
        return read_predictions(folder)

    def _limit(self, name: str, metric: Metric, max_drop: float) -> Limit:
        """The float model itself must hold its limit, or nothing could."""
        with _named(name):
            itself = compare(name, metric, self._float, self._float, ONE_ERROR)
        return Limit(metric, max_drop, bool(itself.drop_upper <= max_drop))

    def _score(self, name: str, limit: Limit, predictions: Predictions) -> Score:
        with _named(name):
            found = compare(name, limit.metric, self._float, predictions, ONE_ERROR)
        bound = found.drop_upper if limit.with_error else found.drop
        return Score(float(found.drop), float(bound - limit.max_drop))


def metric_of(name: str, budget: Budget) -> Metric:
    """Returns the metric that a budget names.

    Raises:
        UsageError: It is not defined, or not well.
    """
    if budget.metric is None:
        raise UsageError(
            f"budget.{name}: which metric this is must be said where there is no recipe",
            hint=f"budget={{{name}: {{max_drop: {budget.max_drop:g}, metric: {{kind: accuracy, output: NAME}}}}}}",
        )
    options: dict[str, Any] = dict(budget.metric)
    kind, kinds = str(options.pop("kind", "")), known_metrics()
    if kind not in kinds:
        raise UsageError(f"budget.{name}: unknown metric kind {kind!r}", hint=did_you_mean(kind, kinds))
    document = Document(f"budget.{name}.metric")
    metric = build(kinds[kind], options, document, ())
    document.check()
    if metric is None:
        raise UsageError(f"budget.{name}: {kind} cannot be made of these options")
    return metric


class _named:  # noqa: N801  # used as a function
    """Says in errors which metric does not fit."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, UsageError):
            raise UsageError(f"budget.{self._name}: {error.message}", hint=error.hint) from None
