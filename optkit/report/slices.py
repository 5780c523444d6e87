"""Verdicts on slices, so that a thousand of them can be read: as one, followed by the worst that did not pass."""

from __future__ import annotations

from collections import Counter
from itertools import groupby
from typing import TYPE_CHECKING

from optkit.core.gates import RULES, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from optkit.core.gates import Verdict

MOST = 10
"""How many verdicts on slices are shown one by one."""
_WORST_FIRST = (Status.FAILED, Status.INCONCLUSIVE, Status.UNMEASURED, Status.PASSED)


def groups(verdicts: Iterable[Verdict]) -> Iterator[list[Verdict]]:
    """Yields each verdict alone, but those of one rule on the slices of one slicing together."""
    found: dict[tuple[str, str, str], list[Verdict]] = {}
    for verdict in verdicts:
        found.setdefault((verdict.gate, verdict.rule, slicing_of(verdict)), []).append(verdict)
    for (_, _, slicing), group in found.items():
        yield from [group] if slicing else [[verdict] for verdict in group]


def slicing_of(verdict: Verdict) -> str:
    """Returns what the data was sliced by, such as `label`; an empty text for all of it."""
    return verdict.slice.partition("=")[0]


def title(group: list[Verdict]) -> str:
    """Returns what a group was judged on, such as `top1[each label].max_drop`."""
    first = group[0]
    return f"{first.gate}[each {slicing_of(first)}].{first.rule}" if first.slice else first.title


def status(group: list[Verdict]) -> Status:
    """Returns the worst status."""
    return min((verdict.status for verdict in group), key=_WORST_FIRST.index)


def counts(group: list[Verdict]) -> str:
    """Returns how many verdicts say what, such as `1 failed, 9 passed`."""
    found = Counter(verdict.status for verdict in group)
    return ", ".join(f"{found[each]} {each}" for each in _WORST_FIRST if found[each])


def worst(group: list[Verdict]) -> list[Verdict]:
    """Returns those that did not pass, the worst first, no more than are shown."""
    missed = [verdict for verdict in group if verdict.status is not Status.PASSED]
    return sorted(missed, key=lambda verdict: (_WORST_FIRST.index(verdict.status), -_excess(verdict)))[:MOST]


def brief(verdicts: Iterable[Verdict]) -> list[str]:
    """Returns verdicts in a few words each, those on slices of one slicing together if they are many."""
    lines = []
    for group in groups(verdicts):
        by_status = groupby(sorted(group, key=lambda verdict: _WORST_FIRST.index(verdict.status)), lambda v: v.status)
        for state, same in ((state, list(each)) for state, each in by_status):
            few = len(same) <= 3  # noqa: PLR2004  # as many as a line takes
            lines += [f"{verdict.title} {state}" for verdict in same] if few else [f"{title(same)} {len(same)} {state}"]
    return lines


def _excess(verdict: Verdict) -> float:
    """Returns by how much a verdict misses its limit; NaN counts as most."""
    if verdict.estimate is None:
        return 0.0
    sign = 1 if RULES[verdict.rule].upper else -1
    excess = sign * (verdict.estimate.value - verdict.limit)
    return excess if excess == excess else float("inf")  # noqa: PLR0124  # only NaN is unequal to itself
