"""How well a language model predicts tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from optkit.core.errors import UsageError
from optkit.measure.metrics.base import Metric
from optkit.measure.metrics.reading import are_whole
from optkit.measure.scores import Sums

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from optkit.measure.predictions import Predictions


@dataclass(frozen=True)
class Perplexity(Metric):
    """Exponential of the mean negative log likelihood of the labels' tokens, over the tokens of all samples.

    The output holds a logit for each place and token (places, vocabulary), the label a token for each place.
    """

    needs_labels: ClassVar[bool] = True
    higher_is_better: ClassVar[bool] = False

    shift: Literal[0, 1] = 0
    """How many places the labels lag behind: 1 where they are the input's own tokens, each told by the place before."""
    ignore: int = -100
    """Label of the places that do not count."""

    def scores(self, predictions: Predictions, reference: Predictions) -> Sums:
        """Returns (n, 2): negative log likelihood, and how many tokens it is of."""
        import numpy as np

        del reference
        pairs = zip(self.samples_of(predictions), self.labels_of(predictions), strict=True)
        return Sums(np.array([self._likelihood(*pair, index) for index, pair in enumerate(pairs)]), _perplexity)

    def _likelihood(self, logits: NDArray[Any], label: NDArray[Any], index: int) -> tuple[float, int]:
        import numpy as np
        from scipy.special import log_softmax

        if logits.shape[:-1] != label.shape or label.ndim != 1:
            raise UsageError(
                f"output '{self.output}' has shape {logits.shape} for sample {index}, its label {label.shape}; they "
                "should have a logit for each place and token, and a token for each place"
            )
        told, logits = label[self.shift :], logits[: len(label) - self.shift].astype(np.float64)
        places = np.flatnonzero(told != self.ignore)
        told = told[places]
        if not are_whole(told) or (len(told) and not 0 <= told.min() <= told.max() < logits.shape[1]):
            raise UsageError(
                f"the label of sample {index} holds something else than the {logits.shape[1]} tokens of the output",
                hint="`ignore` names the label of places that do not count",
            )
        with np.errstate(invalid="ignore"):
            found = log_softmax(logits[places], axis=1)[np.arange(len(places)), told.astype(np.int64)]
        return float(-found.sum()), len(places)


def _perplexity(sums: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    found: NDArray[Any] = np.exp(sums[:, 0] / sums[:, 1])
    return found
