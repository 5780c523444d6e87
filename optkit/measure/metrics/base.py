"""What a metric is. Its fields are its options in a recipe."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from optkit.core.errors import UsageError
from optkit.core.schema import STRICT

if TYPE_CHECKING:
    from optkit.measure.predictions import Predictions, Samples
    from optkit.measure.scores import Scores


@dataclass(frozen=True)
class Metric(ABC):
    """How good an output is."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    needs_labels: ClassVar[bool] = False
    """Whether it cannot do without labels."""
    relative: ClassVar[bool] = False
    """Whether it tells only how near an output is to the baseline's."""
    discrete: ClassVar[bool] = False
    """Whether a sample is counted rather than weighed, so that two models may score alike and yet differ."""
    higher_is_better: ClassVar[bool] = True
    """Which way the value improves."""
    code: ClassVar[str] = ""
    """The option that names the user's own code, as `file.py:callable`."""

    output: str
    """Output of the model that is scored."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """Outputs of the model that it looks at."""
        return (self.output,)

    @property
    def sign(self) -> int:
        """1 if more is better, -1 if less is."""
        return 1 if self.higher_is_better else -1

    @abstractmethod
    def scores(self, predictions: Predictions, reference: Predictions) -> Scores:
        """Returns what is kept of each sample.

        Args:
            predictions: Of the model that is scored.
            reference: Of the baseline.

        Raises:
            UsageError: The metric does not fit the output or the labels.
        """

    def samples_of(self, predictions: Predictions, output: str | None = None) -> Samples:
        """Returns the samples of an output, by default the one that is scored.

        Raises:
            UsageError: The output was not kept.
        """
        name = output or self.output
        if name not in predictions.outputs:
            raise UsageError(f"there is no output '{name}' to score", hint=f"known: {', '.join(predictions.outputs)}")
        return predictions.outputs[name]

    def labels_of(self, predictions: Predictions) -> Samples:
        """Returns the labels.

        Raises:
            UsageError: There are none.
        """
        if predictions.labels is None:
            raise UsageError(
                f"the metric on output '{self.output}' needs labels, and the dataset has none",
                hint="use `agreement`, `cosine` or `sqnr`, which compare with the baseline",
            )
        return predictions.labels
