"""Metrics: one score per sample, so that a candidate is compared with the baseline pair by pair.

A metric's fields are its options in a recipe. Scores are float64 and NaN wherever an output is, so that a broken model
never counts as a correct one.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from optkit.core.errors import StepFailed, UsageError
from optkit.core.schema import STRICT
from optkit.measure.pairs import scored_pairs
from optkit.measure.resampling import Pairs, Rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from optkit.measure.predictions import Predictions, Samples
    from optkit.measure.resampling import Resampling


@dataclass(frozen=True)
class Metric(ABC):
    """How good an output is, sample by sample."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    binary: ClassVar[bool] = False
    """Whether each score is 0 or 1."""
    needs_labels: ClassVar[bool] = False
    """Whether it compares with labels; otherwise with the baseline's output."""
    higher_is_better: ClassVar[bool] = True
    """Which way a score improves."""

    output: str
    """Output of the model that is scored."""

    @abstractmethod
    def per_sample(self, predictions: Predictions, reference: Predictions) -> NDArray[Any]:
        """Returns the scores: float64, (n,), or (n, k) where the statistic needs k numbers of each sample or pair.

        Args:
            predictions: Of the model that is scored.
            reference: Of the baseline.

        Raises:
            UsageError: The metric does not fit the output or the labels.
        """

    def statistic(self, scores: NDArray[Any]) -> float:
        """Returns the value over a whole set of scores: their mean, unless the metric says otherwise."""
        return float(scores.mean())

    def resampling(self, scores: NDArray[Any]) -> Resampling:
        """Returns what a bootstrap may draw: the rows, unless the metric says what they have in common."""
        return Rows(len(scores))

    def samples_of(self, predictions: Predictions) -> Samples:
        """Returns the samples of this metric's output.

        Raises:
            UsageError: The output was not kept.
        """
        if self.output not in predictions.outputs:
            raise UsageError(
                f"there is no output '{self.output}' to score", hint=f"known: {', '.join(predictions.outputs)}"
            )
        return predictions.outputs[self.output]

    def labels_of(self, predictions: Predictions) -> Samples:
        """Returns the labels.

        Raises:
            UsageError: There are none.
        """
        if predictions.labels is None:
            raise UsageError(
                f"the metric on output '{self.output}' needs labels, and the dataset has none",
                hint="use `agreement` or `cosine`, which compare with the baseline",
            )
        return predictions.labels


@dataclass(frozen=True)
class Accuracy(Metric):
    """Share of samples whose label is among the k highest scores."""

    binary: ClassVar[bool] = True
    needs_labels: ClassVar[bool] = True

    k: int = 1
    """How many of the highest scores may hold the label."""

    def per_sample(self, predictions: Predictions, reference: Predictions) -> NDArray[Any]:
        """Returns 1.0 where the label is among the k highest scores (ties go to the lower class), else 0.0."""
        del reference
        scores = _class_scores(self.samples_of(predictions), self.output)
        if not 1 <= self.k <= scores.shape[1]:
            raise UsageError(f"k is {self.k}, but output '{self.output}' has {scores.shape[1]} classes")
        labels = _class_labels(self.labels_of(predictions), scores.shape[1])
        return _with_nan(_rank_of(scores, labels) < self.k, scores)


@dataclass(frozen=True)
class Agreement(Metric):
    """Share of samples where the highest score is at the same class as the baseline's."""

    binary: ClassVar[bool] = True

    def per_sample(self, predictions: Predictions, reference: Predictions) -> NDArray[Any]:
        """Returns 1.0 where both put the same class first, else 0.0."""
        ours = _class_scores(self.samples_of(predictions), self.output)
        theirs = _class_scores(self.samples_of(reference), self.output)
        return _with_nan(ours.argmax(axis=1) == theirs.argmax(axis=1), ours, theirs)


@dataclass(frozen=True)
class Cosine(Metric):
    """Cosine between the output and the baseline's, each flattened."""

    def per_sample(self, predictions: Predictions, reference: Predictions) -> NDArray[Any]:
        """Returns the cosines; 1.0 where both are all zeros."""
        pairs = zip(self.samples_of(predictions), self.samples_of(reference), strict=True)
        return _scores(_cosine(*_same_shape(ours, theirs, self.output)) for ours, theirs in pairs)


@dataclass(frozen=True)
class MeanSquaredError(Metric):
    """Mean squared difference between the output and the label."""

    needs_labels: ClassVar[bool] = True
    higher_is_better: ClassVar[bool] = False

    def per_sample(self, predictions: Predictions, reference: Predictions) -> NDArray[Any]:
        """Returns the mean squared error of each sample."""
        del reference
        pairs = zip(self.samples_of(predictions), self.labels_of(predictions), strict=True)
        matched = (_match(ours, label, self.output) for ours, label in pairs)
        return _scores(float(((ours - label) ** 2).mean()) for ours, label in matched)


@dataclass(frozen=True)
class Correlation(Metric):
    """Correlation over all samples between an output of one number and the label."""

    needs_labels: ClassVar[bool] = True

    method: Literal["pearson", "spearman"] = "pearson"
    """Of the values, or of their ranks."""

    def per_sample(self, predictions: Predictions, reference: Predictions) -> NDArray[Any]:
        """Returns (n, 2): the output and the label of each sample."""
        import numpy as np

        del reference
        columns = [self.samples_of(predictions).stacked(), self.labels_of(predictions).stacked()]
        numbers = [column.reshape(-1) for column in columns if column is not None and column.size == len(predictions)]
        if len(numbers) != len(columns):
            raise UsageError(f"correlation needs one number per sample in output '{self.output}' and in the labels")
        return np.stack(numbers, axis=1).astype(np.float64)

    def statistic(self, scores: NDArray[Any]) -> float:
        """Returns the correlation; NaN where a column is constant or holds NaN."""
        return _correlation(scores, self.method)


@dataclass(frozen=True)
class Similarity(Metric):
    """Correlation between the cosine of two samples' outputs and how similar people found the two.

    A sample's label lists its pairs as rows of [number of the pair, score]; two samples share each number.
    """

    needs_labels: ClassVar[bool] = True

    method: Literal["pearson", "spearman"] = "spearman"
    """Of the values, or of their ranks."""

    def per_sample(self, predictions: Predictions, reference: Predictions) -> NDArray[Any]:
        """Returns (pairs, 4): the cosine, the people's score, and the numbers of both samples."""
        import numpy as np

        del reference
        samples = self.samples_of(predictions)
        pairs, scores = scored_pairs(self.labels_of(predictions))
        cosines = _scores(
            _cosine(*_same_shape(samples[first], samples[second], self.output)) for first, second in pairs.tolist()
        )
        return np.column_stack([cosines, scores, pairs])

    def statistic(self, scores: NDArray[Any]) -> float:
        """Returns the correlation; NaN where a column is constant or holds NaN."""
        return _correlation(scores[:, :2], self.method)

    def resampling(self, scores: NDArray[Any]) -> Resampling:
        """Returns the samples: pairs that share one are not independent."""
        import numpy as np

        units, numbers = np.unique(scores[:, 2:], return_inverse=True)
        first, second = numbers.reshape(-1, 2).T
        return Pairs(len(units), first, second)


METRICS: Mapping[str, type[Metric]] = {
    "accuracy": Accuracy,
    "agreement": Agreement,
    "cosine": Cosine,
    "mse": MeanSquaredError,
    "correlation": Correlation,
    "similarity": Similarity,
}


def known_metrics() -> dict[str, type[Metric]]:
    """Returns kind → metric: ours, and those of installed plugins, which cannot replace one of ours."""
    from importlib.metadata import entry_points

    return {point.name: point.load() for point in entry_points(group="optkit.metrics")} | dict(METRICS)


def _class_scores(samples: Samples, output: str) -> NDArray[Any]:
    stacked = samples.stacked()
    if stacked is not None and stacked.shape[2:] and math.prod(stacked.shape[2:]) == 1:  # (classes, 1, 1): a pool's end
        stacked = stacked.reshape(stacked.shape[:2])
    if stacked is None or stacked.ndim != 2 or stacked.shape[1] < 2:  # noqa: PLR2004  # (samples, classes), two or more
        shape = "shapes that differ" if stacked is None else f"shape {stacked.shape[1:]}"
        raise UsageError(
            f"output '{output}' has {shape} per sample; one score for each of two or more classes is needed",
            hint="name another output, or use `cosine` or `mse`",
        )
    return stacked


def _class_labels(samples: Samples, classes: int) -> NDArray[Any]:
    import numpy as np

    labels = samples.stacked()
    if labels is None or labels.ndim != 1 or (labels.dtype.kind == "f" and (labels != np.round(labels)).any()):
        raise UsageError("accuracy needs one whole number per sample as its label: the index of the class")
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        raise UsageError(
            f"label {labels[wrong[0]]} of sample {wrong[0]} is out of range: the model has {classes} classes "
            f"(0 to {classes - 1}); so it is with {len(wrong)} of {len(labels)} labels"
        )
    return labels.astype(np.int64)


def _rank_of(scores: NDArray[Any], labels: NDArray[Any]) -> NDArray[Any]:
    """How many classes stand before the label's: higher ones, and equal ones with a lower index (as argmax has it)."""
    import numpy as np

    own = np.take_along_axis(scores, labels[:, None], axis=1)
    before = np.arange(scores.shape[1]) < labels[:, None]
    rank: NDArray[Any] = ((scores > own) | ((scores == own) & before)).sum(axis=1)
    return rank


def _with_nan(outcomes: NDArray[Any], *scores: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    broken = np.any([np.isnan(score).any(axis=1) for score in scores], axis=0)
    return np.where(broken, np.nan, outcomes.astype(np.float64))


def _scores(values: Any) -> NDArray[Any]:  # noqa: ANN401  # any iterable of floats
    import numpy as np

    return np.fromiter(values, np.float64)


def _correlation(scores: NDArray[Any], method: str) -> float:
    import numpy as np
    from scipy.stats import rankdata

    if not len(scores) or not np.isfinite(scores).all():
        return float("nan")
    columns = rankdata(scores, axis=0) if method == "spearman" else scores
    centred = columns - columns.mean(axis=0)
    norms = np.linalg.norm(centred, axis=0).prod()
    return float(centred[:, 0] @ centred[:, 1] / norms) if norms else float("nan")


def _cosine(ours: NDArray[Any], theirs: NDArray[Any]) -> float:
    import numpy as np

    if not ours.any() and not theirs.any():
        return 1.0
    with np.errstate(invalid="ignore", over="ignore"):
        norms = float(np.linalg.norm(ours) * np.linalg.norm(theirs))
        return float(ours @ theirs) / norms if norms else 0.0


def _same_shape(ours: NDArray[Any], theirs: NDArray[Any], output: str) -> tuple[NDArray[Any], NDArray[Any]]:
    import numpy as np

    if ours.shape != theirs.shape:
        raise StepFailed(f"output '{output}' has shape {ours.shape} where the baseline's has {theirs.shape}")
    return ours.reshape(-1).astype(np.float64), theirs.reshape(-1).astype(np.float64)


def _match(ours: NDArray[Any], label: NDArray[Any], output: str) -> tuple[NDArray[Any], NDArray[Any]]:
    import numpy as np

    if np.squeeze(ours).shape != np.squeeze(label).shape:
        raise UsageError(f"output '{output}' has shape {ours.shape} per sample, the label has {label.shape}")
    return ours.reshape(-1).astype(np.float64), label.reshape(-1).astype(np.float64)
