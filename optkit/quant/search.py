"""Finds which layers must stay in float to keep within a budget, with few evaluations.

Noise of layers adds up at the outputs, as long as it is small; so layers are ordered by the noise that leaving one in
float takes away per cost. A search by bisection over how many of them stay float is followed by giving back those that
the order took along.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    Evaluate = Callable[[frozenset[str]], float]

MOST_EVALUATIONS = 9
"""With the one of the float model, ten."""
_RUNGS = 15
"""Bisection needs four evaluations for these."""
_LOUDEST = 1e30


@dataclass(frozen=True, slots=True)
class Layer:
    """What is quantized as a whole.

    Attributes:
        name: Unique.
        noise: Power that it alone adds to the outputs in int8, relative to theirs.
        cost: What leaving it in float costs; above 0.
    """

    name: str
    noise: float
    cost: float


@dataclass(frozen=True, slots=True)
class Found:
    """What a search ended with.

    Attributes:
        floats: The layers that stay float, in the best setting that holds; None if none holds.
        excess: Every setting that was evaluated, by its float layers → by how much it misses; 0 or less holds.
    """

    floats: frozenset[str] | None
    excess: dict[frozenset[str], float]

    def nearest(self) -> frozenset[str]:
        """Returns the setting that missed by least."""
        return min(self.excess, key=lambda floats: _or_infinity(self.excess[floats]))


def find_floats(layers: Sequence[Layer], evaluate: Evaluate, most: int = MOST_EVALUATIONS) -> Found:
    """Returns a setting that `evaluate` says holds, of the least cost that so many evaluations find.

    Args:
        layers: All that can run in int8.
        evaluate: Names of the layers in float → by how much the budget is missed; it holds at 0 or less, so that NaN
            does not.
        most: How many evaluations may be made; at least 1.
    """
    search = _Search(layers, evaluate, most)
    if search.holds(()):
        return Found(frozenset(), search.excess)
    kept = search.fewest()
    if kept is None:
        kept = search.all_but_one()
    return Found(None if kept is None else search.given_back(kept), search.excess)


@dataclass(slots=True)
class _Search:
    layers: Sequence[Layer]
    evaluate: Evaluate
    most: int
    excess: dict[frozenset[str], float] = field(default_factory=dict)
    by_name: dict[str, Layer] = field(default_factory=dict)
    order: list[Layer] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.by_name = {layer.name: layer for layer in self.layers}
        # The name last, so that the order of equals does not depend on that of the graph.
        self.order = sorted(self.layers, key=lambda each: (-_quiet(each.noise) / each.cost, each.name))

    def holds(self, floats: Iterable[str]) -> bool:
        """Evaluates a setting, unless that was done."""
        names = frozenset(floats)
        if names not in self.excess:
            self.excess[names] = self.evaluate(names)
        return self.excess[names] <= 0

    def left(self) -> int:
        """Returns how many evaluations may still be made."""
        return self.most - len(self.excess)

    def first(self, count: int) -> frozenset[str]:
        """Returns the first `count` layers of the order."""
        return frozenset(layer.name for layer in self.order[:count])

    def fewest(self) -> frozenset[str] | None:
        """Returns the shortest start of the order that holds as float; None if not even all but one layer do."""
        fails, holds = 0, None
        for rungs in (self._rungs(), None):
            low, high = fails, len(self.order) if holds is None else holds
            while self.left() > 0:
                between = [count for count in rungs or range(low + 1, high) if low < count < high]
                if not between:
                    break
                middle = between[len(between) // 2]
                if self.holds(self.first(middle)):
                    high = holds = middle
                else:
                    low = fails = middle
            if holds is None:
                return None
        return self.first(holds) if holds is not None else None

    def all_but_one(self) -> frozenset[str] | None:
        """Returns the first setting that holds with a single layer in int8, trying those of least noise first."""
        for layer in sorted(self.layers, key=lambda layer: (_quiet(layer.noise), layer.name)):
            floats = frozenset(self.by_name) - {layer.name}
            if not self.left() or not floats:
                break
            if self.holds(floats):
                return floats
        return None

    def given_back(self, floats: frozenset[str]) -> frozenset[str]:
        """Returns `floats` without what turns out not to be needed there."""
        while self.left() > 0:
            fewer = self._fewer(floats)
            if fewer is None:
                break
            if self.holds(fewer):
                floats = fewer
        return floats

    def _fewer(self, floats: frozenset[str]) -> frozenset[str] | None:
        """Returns the cheaper setting that should be quieter than all that failed; None if there is none."""
        loudest = min(self._noise(failed) for failed, excess in self.excess.items() if not excess <= 0)
        kept = floats
        for layer in sorted((self.by_name[name] for name in floats), key=lambda each: (-each.cost, each.name)):
            fewer = kept - {layer.name}
            if self._noise(fewer) < loudest and fewer not in self.excess:
                kept = fewer
        return kept if kept != floats else None

    def _noise(self, floats: frozenset[str]) -> float:
        return math.fsum(_quiet(layer.noise) for layer in self.layers if layer.name not in floats)

    def _rungs(self) -> list[int]:
        """Returns how many layers to try in float: evenly spread over the logarithm of the noise that is left."""
        counts = range(1, len(self.order))
        if len(counts) <= _RUNGS:
            return list(counts)
        left = [math.log(max(self._noise(self.first(count)), 1 / _LOUDEST)) for count in counts]
        wanted = [left[0] + (left[-1] - left[0]) * step / (_RUNGS - 1) for step in range(_RUNGS)]
        return sorted({min(counts, key=lambda count: abs(left[count - 1] - level)) for level in wanted})


def _quiet(noise: float) -> float:
    """Returns the noise, a large number for what is not one."""
    return noise if 0 <= noise < _LOUDEST else _LOUDEST


def _or_infinity(excess: float) -> float:
    return excess if excess == excess else math.inf  # noqa: PLR0124  # NaN
