"""Correlation over all samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from optkit.core.errors import UsageError
from optkit.measure.metrics.base import Metric
from optkit.measure.metrics.closeness import cosine, numbers
from optkit.measure.pairs import scored_pairs
from optkit.measure.ranks import mid_ranks
from optkit.measure.resampling import Pairs
from optkit.measure.scores import Scores

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import NDArray

    from optkit.measure.predictions import Predictions
    from optkit.measure.resampling import Resampling

Method = Literal["pearson", "spearman"]


@dataclass(frozen=True, slots=True)
class Columns(Scores):
    """Two numbers a row, and how they are correlated over all rows.

    Attributes:
        method: Of the values, or of their ranks.
    """

    method: Method

    def values(self, weights: NDArray[Any]) -> NDArray[Any]:
        """Returns the weighted correlations; NaN where a column is constant or not finite."""
        import numpy as np

        ours, theirs = self.rows[:, 0], self.rows[:, 1]
        if not np.isfinite(self.rows[:, :2]).all():
            return np.full(len(weights), np.nan)
        if self.method == "spearman":
            drawn = np.ascontiguousarray(weights.T)
            return _correlations(mid_ranks(ours, drawn).T, mid_ranks(theirs, drawn).T, weights)
        return _correlations(ours, theirs, weights)


@dataclass(frozen=True, slots=True)
class PairColumns(Columns):
    """Rows that stand for pairs of samples: (cosine, people's score, first sample, second sample)."""

    def of_samples(self, samples: NDArray[Any]) -> Self:
        """Returns the pairs whose halves both are among these samples."""
        inside = samples[self.rows[:, 2:].astype(int)].all(axis=1)
        return self.only(inside.nonzero()[0])

    def condensed(self, other: Self) -> tuple[Self, Self, Resampling]:
        """Returns both as they are; samples are drawn, for pairs that share one are not independent."""
        import numpy as np

        units, number = np.unique(self.rows[:, 2:], return_inverse=True)
        first, second = number.reshape(-1, 2).T
        return self, other, Pairs(len(units), first, second)


@dataclass(frozen=True)
class Correlation(Metric):
    """Correlation over all samples between an output of one number and the label."""

    needs_labels: ClassVar[bool] = True

    method: Method = "pearson"
    """Of the values, or of their ranks."""

    def scores(self, predictions: Predictions, reference: Predictions) -> Columns:
        """Returns (n, 2): the output and the label of each sample."""
        import numpy as np

        del reference
        columns = [self.samples_of(predictions).stacked(), self.labels_of(predictions).stacked()]
        flat = [column.reshape(-1) for column in columns if column is not None and column.size == len(predictions)]
        if len(flat) != len(columns):
            raise UsageError(f"correlation needs one number per sample in output '{self.output}' and in the labels")
        return Columns(np.stack(flat, axis=1).astype(np.float64), self.method)


@dataclass(frozen=True)
class Similarity(Metric):
    """Correlation between the cosine of two samples' outputs and how similar people found the two.

    A sample's label lists its pairs as rows of [number of the pair, score]; two samples share each number.
    """

    needs_labels: ClassVar[bool] = True

    method: Method = "spearman"
    """Of the values, or of their ranks."""

    def scores(self, predictions: Predictions, reference: Predictions) -> PairColumns:
        """Returns (pairs, 4): the cosine, the people's score, and the numbers of both samples."""
        import numpy as np

        del reference
        samples = self.samples_of(predictions)
        pairs, scores = scored_pairs(self.labels_of(predictions))
        wrong = [first for first, second in pairs.tolist() if samples[first].shape != samples[second].shape]
        if wrong:
            raise UsageError(
                f"output '{self.output}' has another shape for sample {wrong[0]} than for its pair's other"
            )
        cosines = numbers(cosine(*_flat(samples[first], samples[second])) for first, second in pairs.tolist())
        return PairColumns(np.column_stack([cosines, scores, pairs]), self.method)


def _flat(*arrays: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    ours, theirs = (array.reshape(-1).astype("float64") for array in arrays)
    return ours, theirs


def _correlations(ours: NDArray[Any], theirs: NDArray[Any], weights: NDArray[Any]) -> NDArray[Any]:
    """Returns weighted Pearson correlations (draws,) of columns (n,) or (draws, n)."""
    import numpy as np

    total = weights.sum(axis=1, keepdims=True)
    x, y = (column - (weights * column).sum(axis=1, keepdims=True) / total for column in (ours, theirs))
    weighted = weights * x
    with np.errstate(divide="ignore", invalid="ignore"):
        norms = np.sqrt((weighted * x).sum(axis=1) * (weights * y * y).sum(axis=1))
        found: NDArray[Any] = (weighted * y).sum(axis=1) / norms
    found[norms == 0] = np.nan
    return found
