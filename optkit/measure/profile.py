"""Per-operator times of one model: from the calls that a runtime recorded to what a report shows."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING, Any

from optkit.core.results import OperatorTime, Profile

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from optkit.runtimes.profiling import Call, Operator, ProfiledSession

LONGEST = 20
"""How many operators, and how many types of them, a profile names."""
_WARM_UP = 3
_SECONDS = 0.5
_MOST_RUNS = 30
"""A trace holds a line for each call: those of a large model take a megabyte a run."""


def record(session: ProfiledSession, inputs: Mapping[str, NDArray[Any]]) -> list[Sequence[Call]]:
    """Runs the model for half a second, or twice; returns the calls of each run but the first ones."""
    deadline = time.perf_counter() + _SECONDS
    runs = 0
    while runs < 2 or (runs < _WARM_UP + _MOST_RUNS and time.perf_counter() < deadline):  # noqa: PLR2004  # one is cold
        session.run(inputs)
        runs += 1
    return list(session.finish()[min(_WARM_UP, runs // 2) :])


def summary(runs: Sequence[Sequence[Call]]) -> Profile:
    """Returns where the time goes. Each operator counts with the median of its times over the runs.

    A run that the machine interrupted thus says nothing, wherever it was interrupted.
    """
    times, calls = _by_operator(runs)
    medians = {operator: median(samples) for operator, samples in times.items()}
    total = sum(medians.values())
    operators = [
        OperatorTime(
            name=operator.name,
            operator=operator.type,
            arithmetic=operator.arithmetic,
            calls=round(calls[operator] / len(runs)),
            ms=ms,
            share=ms / total if total else 0.0,
        )
        for operator, ms in medians.items()
    ]
    return Profile(
        runs=len(runs),
        ms=total,
        int8_share=sum(each.share for each in operators if each.arithmetic == "int8"),
        conversion_share=sum(each.share for each in operators if each.arithmetic == "conversion"),
        count=len(operators),
        operators=_slowest(operators),
        types=_slowest(_by_type(operators)),
    )


def from_json(value: Mapping[str, Any]) -> Profile:
    """Returns the profile that `dataclasses.asdict` spelled."""
    lists = {key: tuple(OperatorTime(**each) for each in value[key]) for key in ("operators", "types")}
    return Profile(**{**value, **lists})


def _by_operator(runs: Sequence[Sequence[Call]]) -> tuple[dict[Operator, list[float]], Counter[Operator]]:
    """Returns operator → its milliseconds in each run, and how often it was called in all."""
    times: dict[Operator, list[float]] = defaultdict(lambda: [0.0] * len(runs))
    calls: Counter[Operator] = Counter()
    for index, run in enumerate(runs):
        for call in run:
            times[call.operator][index] += call.ms
            calls[call.operator] += 1
    return times, calls


def _by_type(operators: Iterable[OperatorTime]) -> list[OperatorTime]:
    types: dict[tuple[str, str], OperatorTime] = {}
    for each in operators:
        seen = types.get((each.operator, each.arithmetic), replace(each, name="", calls=0, ms=0.0, share=0.0))
        types[each.operator, each.arithmetic] = replace(
            seen, calls=seen.calls + each.calls, ms=seen.ms + each.ms, share=seen.share + each.share
        )
    return list(types.values())


def _slowest(operators: Iterable[OperatorTime]) -> tuple[OperatorTime, ...]:
    return tuple(sorted(operators, key=lambda each: (-each.ms, each.name, each.operator))[:LONGEST])
