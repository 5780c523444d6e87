"""Which of several options are worth a look when there is more than one thing to want."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def pareto_front(costs: Sequence[Sequence[float]]) -> list[bool]:
    """Returns for each option whether no other is as good in everything and better in something.

    Equal options are on the front together. What is NaN is worse than any number.

    Args:
        costs: Option → what it costs in each respect; less is better, so negate what should be large.
    """
    known = [tuple(cost if cost == cost else float("inf") for cost in each) for each in costs]  # noqa: PLR0124  # only NaN is unequal to itself
    return [not any(_dominates(other, each) for other in known) for each in known]


def _dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    return one != other and all(mine <= theirs for mine, theirs in zip(one, other, strict=True))
