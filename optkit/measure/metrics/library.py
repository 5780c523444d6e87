"""Metrics of torchmetrics, by name."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from optkit.core.errors import MissingDependency, UsageError
from optkit.measure.metrics.base import Metric
from optkit.measure.metrics.whole import Whole
from optkit.measure.scores import Sums

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from optkit.measure.predictions import Predictions, Samples
    from optkit.measure.scores import Scores

    States = dict[str, NDArray[Any]]

_TOLERANCE = 1e-4
"""By how much a value may differ, relative or absolute, between states that were added up and one update: float32."""


@dataclass(frozen=True)
class TorchMetrics(Metric):
    """A metric of torchmetrics: `update` gets the output and the labels of all samples, each stacked on axis 0.

    If its states add up over samples, each sample's are kept, and resamples are sums of them. Else it is computed anew
    for each resample, which takes longer.
    """

    needs_labels: ClassVar[bool] = True
    discrete: ClassVar[bool] = True

    metric: str
    """Its class, such as classification.MulticlassCohenKappa."""
    arguments: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments of the class."""
    better: Literal["higher", "lower"] | None = None
    """Which way the value improves; by default what the class says."""

    @property
    def sign(self) -> int:
        """Follows `better`, or the class.

        Raises:
            UsageError: Neither says.
        """
        known = {"higher": True, "lower": False}.get(self.better or "", _class_of(self.metric).higher_is_better)
        if known is None:
            raise UsageError(f"torchmetrics does not say which way {self.metric} improves", hint="add better: higher")
        return 1 if known else -1

    def scores(self, predictions: Predictions, reference: Predictions) -> Scores:
        """Returns each sample's states, (n, k), or the samples' numbers where states do not add up.

        Raises:
            UsageError: There is no such metric, or it does not take these outputs and labels.
            MissingDependency: torchmetrics is absent.
        """
        import numpy as np

        del reference
        counted = _Counted(self, self.samples_of(predictions), self.labels_of(predictions))
        everything = np.arange(len(predictions))
        sums = counted.sums()
        if sums is not None and np.isclose(sums.value, counted.value(everything), _TOLERANCE, _TOLERANCE):
            return sums
        return Whole.every(len(predictions), counted.value)


class _Counted:
    """One metric object and the samples that it is shown."""

    def __init__(self, options: TorchMetrics, samples: Samples, labels: Samples) -> None:
        import torch

        self._name = f"torchmetrics.{options.metric}"
        stacked = samples.stacked(), labels.stacked()
        if stacked[0] is None or stacked[1] is None:
            raise UsageError(f"{self._name} takes samples of one shape; these differ")
        self._data = [torch.from_numpy(array.copy()) for array in stacked if array is not None]
        try:
            self._metric = _class_of(options.metric)(**options.arguments, compute_with_cache=False)
        except (TypeError, ValueError, ModuleNotFoundError) as error:
            raise UsageError(f"{self._name}: {_first_line(error)}", hint="see its page at torchmetrics") from None

    def value(self, samples: NDArray[Any]) -> float:
        """Returns the value of these samples."""
        self._show(samples)
        return self._computed()

    def sums(self) -> Sums | None:
        """Returns what each sample adds to the states; None where the states are no tensors of fixed shapes."""
        import numpy as np

        rows = []
        for index in range(len(self._data[0])):
            self._show(np.array([index]))
            states = self._metric.metric_state
            if any(isinstance(state, list) for state in states.values()):
                return None
            rows.append(np.concatenate([state.double().numpy().reshape(-1) for state in states.values()]))
        shapes = {name: state.shape for name, state in self._metric.metric_state.items()}
        dtypes = {name: state.dtype for name, state in self._metric.metric_state.items()}
        return Sums(np.array(rows), lambda sums: np.array([self._of_states(row, shapes, dtypes) for row in sums]))

    def _of_states(self, row: NDArray[Any], shapes: Mapping[str, Any], dtypes: Mapping[str, Any]) -> float:
        import torch

        parts = torch.split(torch.from_numpy(row), [shape.numel() for shape in shapes.values()])
        for (name, shape), part in zip(shapes.items(), parts, strict=True):
            setattr(self._metric, name, part.reshape(shape).to(dtypes[name]))
        return self._computed()

    def _show(self, samples: NDArray[Any]) -> None:
        import torch

        outputs, labels = (part[torch.from_numpy(samples)] for part in self._data)
        self._metric.reset()
        try:
            self._metric.update(outputs, labels)
        except (TypeError, ValueError, RuntimeError) as error:
            raise UsageError(f"{self._name} does not take these: {_first_line(error)}") from None

    def _computed(self) -> float:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # classes that a resample lacks
            found = self._metric.compute()
        if getattr(found, "numel", lambda: 0)() != 1:
            raise UsageError(f"{self._name} does not give one number", hint="give it an average, as in average: macro")
        return float(found)


def _class_of(name: str) -> Any:  # noqa: ANN401  # torchmetrics is optional
    try:
        import torchmetrics
    except ImportError:
        raise MissingDependency("this metric needs torchmetrics", hint="pip install 'optkit[metrics]'") from None
    found: Any = torchmetrics
    for part in name.split("."):
        found = getattr(found, part, None)
    if not (isinstance(found, type) and issubclass(found, torchmetrics.Metric)):
        raise UsageError(f"torchmetrics has no metric {name!r}", hint="for example classification.BinaryCohenKappa")
    return found


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
