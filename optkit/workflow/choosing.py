"""Which of the candidates that hold every gate a recipe keeps, by its objective."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optkit.core.objective import PARETO
from optkit.core.results import Choice
from optkit.report import format as fmt
from optkit.report.slices import groups, title

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from optkit.core.gates import Estimate
    from optkit.core.objective import Objective
    from optkit.core.results import CandidateResult, Timing


def choose(
    objective: Objective, candidates: Sequence[CandidateResult], unserved: Mapping[str, str], machine: str
) -> Choice:
    """Returns what is kept, why, and why the others are not.

    Args:
        objective: The recipe's.
        candidates: All of them, judged, in the recipe's order, which decides between those that are not told apart.
        unserved: Candidate → why nothing that the recipe packages for would run it.
        machine: Fingerprint of the machine class that the times were measured on.
    """
    out = {each.name: why for each in candidates if (why := _out(objective, each, unserved.get(each.name, "")))}
    fit = [each for each in candidates if each.name not in out]
    if not fit:
        why = f"nothing is kept: {'; '.join(f'{name} {reason}' for name, reason in out.items())}"
        return Choice(objective.kind, (), why, out, machine)
    kept, why = _BY_KIND[objective.kind](objective, fit)
    names = tuple(each.name for each in kept)
    left_out = out | {each.name: f"has {_numbers(objective, each)}" for each in fit if each.name not in names}
    rest = "; ".join(f"{name} {reason}" for name, reason in left_out.items())
    sentence = f"{' and '.join(names)} kept for {objective.kind}: {why}"
    return Choice(objective.kind, names, f"{sentence}; {rest}" if rest else sentence, left_out, machine)


def _out(objective: Objective, candidate: CandidateResult, unserved: str) -> str:
    """Returns why a candidate cannot be kept, whatever its numbers; empty if it can."""
    if not candidate.approved:
        refused = [title(group) for group in groups(item for item in candidate.verdicts if not item.accepted)]
        return f"does not hold its gates ({', '.join(refused)})"
    if unserved:
        return f"cannot be served ({unserved})"
    if objective.kind != "min_size" and (candidate.timing is None or candidate.speedup is None):
        return f"was not timed ({candidate.untimed})"
    if objective.kind == "max_throughput" and not _rate(objective, candidate):
        return f"takes more than {objective.max_latency_ms:g} ms with every batch"
    return ""


def _fastest(objective: Objective, fit: Sequence[CandidateResult]) -> tuple[list[CandidateResult], str]:
    best = max(fit, key=lambda each: _timed(each)[1].value)
    # Against one baseline in one run: where the intervals meet, what comes first in the recipe stays, run after run.
    alike = [each for each in fit if _timed(each)[1].upper >= _timed(best)[1].lower]
    why = f"{_numbers(objective, alike[0])} over the original"
    if len(alike) > 1:
        why += f", not told apart from {' and '.join(each.name for each in alike[1:])}, which the recipe names later"
    return alike[:1], why


def _busiest(objective: Objective, fit: Sequence[CandidateResult]) -> tuple[list[CandidateResult], str]:
    best = max(fit, key=lambda each: _rate(objective, each))
    return [best], _numbers(objective, best)


def _smallest(objective: Objective, fit: Sequence[CandidateResult]) -> tuple[list[CandidateResult], str]:
    best = min(fit, key=lambda each: (each.size_bytes, -each.speedup.value if each.speedup else 0.0))
    return [best], _numbers(objective, best)


def _undominated(objective: Objective, fit: Sequence[CandidateResult]) -> tuple[list[CandidateResult], str]:
    costs = {each.name: (_timed(each)[0].p50_ms, -_rate(objective, each), each.size_bytes) for each in fit}
    kept = [each for each in fit if not any(_beats(other, costs[each.name]) for other in costs.values())]
    return kept, ", ".join(_numbers(objective, each) for each in kept)


_BY_KIND = {"min_latency": _fastest, "max_throughput": _busiest, "min_size": _smallest, PARETO: _undominated}


def _beats(costs: tuple[float, ...], others: tuple[float, ...]) -> bool:
    return costs != others and all(cost <= other for cost, other in zip(costs, others, strict=True))


def _numbers(objective: Objective, candidate: CandidateResult) -> str:
    """Returns what the objective looks at."""
    if objective.kind == "min_latency":
        return fmt.speedup(candidate.speedup)
    if objective.kind == "min_size":
        return fmt.size(candidate.size_bytes)
    rate = fmt.rate(_rate(objective, candidate))
    if objective.kind == "max_throughput":
        limit = objective.max_latency_ms
        return rate if limit is None else f"{rate} within {limit:g} ms"
    return f"p50 {fmt.milliseconds(_timed(candidate)[0].p50_ms)}, {rate} and {fmt.size(candidate.size_bytes)}"


def _rate(objective: Objective, candidate: CandidateResult) -> float:
    """Returns the most samples per second with a batch that is done in time; 0 if there is none."""
    limit = objective.max_latency_ms
    rates = _timed(candidate)[0].throughput.items()
    return max((rate for batch, rate in rates if limit is None or batch / rate * 1e3 <= limit), default=0.0)


def _timed(candidate: CandidateResult) -> tuple[Timing, Estimate]:
    if candidate.timing is None or candidate.speedup is None:
        raise ValueError(f"{candidate.name} was not timed")
    return candidate.timing, candidate.speedup
