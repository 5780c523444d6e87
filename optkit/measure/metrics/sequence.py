"""Sequences of tokens or words, such as what was said."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, ClassVar

from optkit.core.errors import UsageError
from optkit.measure.metrics.base import Metric
from optkit.measure.scores import Sums

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

    from numpy.typing import NDArray

    from optkit.measure.predictions import Predictions

_LOGITS = 2


@dataclass(frozen=True)
class WordErrorRate(Metric):
    """Words to replace, insert and delete, over the words of the labels, of all samples.

    The output holds a logit for each place and token (places, vocabulary), of which the highest counts, or tokens
    (places,). Labels are tokens, or text (`labels: {text: true}` in the dataset) where `tokens` spells them out.
    """

    needs_labels: ClassVar[bool] = True
    discrete: ClassVar[bool] = True
    higher_is_better: ClassVar[bool] = False

    blank: int | None = None
    """Token that stands between others in connectionist temporal classification: repeats merge, and it is dropped."""
    separator: int | None = None
    """Token between words; without it each token is a word."""
    ignore: int = -100
    """Token that does not count, in labels and outputs."""
    tokens: tuple[str, ...] = ()
    """How each token is spelled: words are then what white space separates. An empty text drops the token."""

    def scores(self, predictions: Predictions, reference: Predictions) -> Sums:
        """Returns (n, 2): errors and words."""
        import numpy as np

        del reference
        pairs = zip(self.samples_of(predictions), self.labels_of(predictions), strict=True)
        return Sums(np.array([self._errors(*pair, index) for index, pair in enumerate(pairs)]), _rate)

    def _errors(self, output: NDArray[Any], label: NDArray[Any], index: int) -> tuple[float, int]:
        import numpy as np

        if output.ndim not in {1, _LOGITS} or label.ndim > 1:
            raise UsageError(
                f"output '{self.output}' has shape {output.shape} for sample {index}, its label {label.shape}; the "
                "word error rate needs tokens, or logits of shape (places, vocabulary), and a sequence as its label"
            )
        told = self._words_of_label(label.reshape(-1))
        if output.dtype.kind == "f" and np.isnan(output).any():
            return float("nan"), len(told)
        return float(edit_distance(self._words(self._decoded(output)), told)), len(told)

    def _decoded(self, output: NDArray[Any]) -> list[int]:
        """Returns the tokens that the model says."""
        found = output.argmax(axis=1) if output.ndim == _LOGITS else output
        tokens: list[int] = found.astype(int).tolist()
        if self.blank is None:
            return tokens
        return [token for token, _ in groupby(tokens) if token != self.blank]

    def _words_of_label(self, label: NDArray[Any]) -> Sequence[Hashable]:
        if not self.tokens:
            return self._words(label.astype(int).tolist())
        return "".join(map(chr, label.tolist())).split()

    def _words(self, tokens: Sequence[int]) -> Sequence[Hashable]:
        kept = [token for token in tokens if token != self.ignore]
        if self.tokens:
            return "".join(self._spelled(token) for token in kept).split()
        if self.separator is None:
            return kept
        return [tuple(word) for is_word, word in groupby(kept, lambda token: token != self.separator) if is_word]

    def _spelled(self, token: int) -> str:
        if not 0 <= token < len(self.tokens):
            raise UsageError(f"`tokens` spells {len(self.tokens)} tokens, but output '{self.output}' holds {token}")
        return self.tokens[token]


def edit_distance(ours: Iterable[Hashable], theirs: Iterable[Hashable]) -> int:
    """Returns how many replacements, insertions and deletions turn one sequence into the other.

    Source: V. I. Levenshtein, Binary codes capable of correcting deletions, insertions, and reversals (1966). A row at
    a time: insertions within a row are a running minimum.
    """
    import numpy as np

    numbers: dict[Hashable, int] = {}
    first, second = ([numbers.setdefault(word, len(numbers)) for word in words] for words in (ours, theirs))
    columns, places = np.array(second, np.int64), np.arange(len(second) + 1)
    row = places
    for count, word in enumerate(first, 1):
        replaced, deleted = row[:-1] + (columns != word), row[1:] + 1
        best = np.concatenate([[count], np.minimum(replaced, deleted)])
        row = np.minimum.accumulate(best - places) + places
    return int(row[-1])


def _rate(sums: NDArray[Any]) -> NDArray[Any]:
    rate: NDArray[Any] = sums[:, 0] / sums[:, 1]
    return rate
