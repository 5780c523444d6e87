"""Two runs: what changed between them, and what it did to the numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from optkit.workflow.output import REPORT
from optkit.workflow.regression import Conditions, losses
from optkit.workflow.releasing import machine_class, numbers_of, versions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from optkit.core.gates import Estimate
    from optkit.core.results import CandidateResult, Provenance, RunReport

_ALONE = "in one of the runs only"
_NOISE = "chance: the same bytes in the same versions"
_MEASURED = frozenset({"latency", "memory"})


def compare_runs(first: Path, second: Path) -> dict[str, Any]:
    """Returns what differs between two output folders of `optimize`, section by section.

    Each section maps a name to (first, second), but for `numbers`: there each candidate has, by name, both values, what
    was lost with its bounds (a share; of a metric, in its unit), and what that means. Latency stands as the speed-up.

    Raises:
        UsageError: A report is absent, damaged, foreign or of another version.
    """
    from optkit.report.json_report import read_json

    before, after = read_json(first / REPORT), read_json(second / REPORT)
    sections = {
        "recipe": _recipe,
        "sources": lambda report: report.provenance.sources,
        "versions": lambda report: versions(report.provenance),
        "steps": lambda report: {step.name: step.digest for step in report.steps},
        "verdicts": _verdicts,
    }
    found = {name: changed(read(before), read(after)) for name, read in sections.items()}
    found["options"] = _options(before, after)
    found["machine"] = _machine(before.provenance, after.provenance)
    return {**found, "numbers": dict(_numbers(before, after))}


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Returns name → (before, after) for each value that differs; None where there is none."""
    names = sorted(before.keys() | after.keys())
    return {name: (before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)}


def _recipe(report: RunReport) -> dict[str, Any]:
    kept = ", ".join(report.choice.kept) if report.choice else None
    targets = {f"target of {candidate.name}": candidate.target for candidate in report.candidates}
    return {"name": report.recipe, "file": report.recipe_sha256, "kept": kept, **targets}


def _options(before: RunReport, after: RunReport) -> dict[str, tuple[Any, Any]]:
    """Returns the options that differ, of the steps that both runs have."""
    runs = [{step.name: step.options for step in report.steps} for report in (before, after)]
    both = runs[0].keys() & runs[1].keys()
    flat = [{f"{step}.{name}": value for step in both for name, value in run[step].items()} for run in runs]
    return changed(*flat)


def _machine(before: Provenance, after: Provenance) -> dict[str, tuple[Any, Any]]:
    found = [{"cpu": each.cpu, "cores": each.cores, "system": each.platform} for each in (before, after)]
    flags = [set(each.cpu_flags) for each in (before, after)]
    only = [" ".join(sorted(one - other)) for one, other in (flags, flags[::-1])]
    return changed(*found) | ({"cpu flags": (only[0], only[1])} if any(only) else {})


def _verdicts(report: RunReport) -> dict[str, Any]:
    rules = {
        f"{candidate.name}.{item.gate}.{item.rule} {item.limit:g}": str(item.status)
        for candidate in report.candidates
        for item in candidate.verdicts
    }
    return {"outcome": report.outcome, **rules}


def _numbers(before: RunReport, after: RunReport) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields each candidate with its numbers, by name: in the first run, in the second, and what that means."""
    runs = [{candidate.name: candidate for candidate in report.candidates} for report in (before, after)]
    lost, gained = _losses(before, after), _losses(after, before)
    for name in dict.fromkeys((*runs[0], *runs[1])):
        then, now = (_values(run[name]) if name in run else {} for run in runs)
        found = {}
        for number in dict.fromkeys((*then, *now)):
            changes = [losses.get(name, {}).get(number, _ALONE) for losses in (lost, gained)]
            found[number] = _number(then.get(number), now.get(number), *changes)
        if all(name in run for run in runs) and _alike(before, after, name):
            for number in _MEASURED & found.keys():
                found[number]["meaning"] = _NOISE
        yield name, found


def _losses(before: RunReport, after: RunReport) -> dict[str, dict[str, Estimate | str]]:
    """Returns candidate → number → what it lost from one run to the other, or why that is unknown."""
    release, about = numbers_of(before, before.candidates), after.provenance
    here = Conditions(after.baseline.digest, about.sources, machine_class(about))
    return {
        candidate.name: {number: lost for number, (lost, _) in losses(release, here, candidate).items()}
        for candidate in after.candidates
    }


def _alike(before: RunReport, after: RunReport, name: str) -> bool:
    """Returns whether a candidate has the same bytes in both runs, and so has all that runs it."""
    digests = [next(each.digest for each in run.candidates if each.name == name) for run in (before, after)]
    return digests[0] == digests[1] and versions(before.provenance) == versions(after.provenance)


def _values(candidate: CandidateResult) -> dict[str, float]:
    values: dict[str, float] = {metric.name: metric.candidate.value for metric in candidate.metrics}
    if candidate.timing and candidate.speedup:
        values |= {"latency": candidate.speedup.value, "memory": candidate.timing.peak_rss_bytes}
    return values | {"size": candidate.size_bytes}


def _number(before: float | None, after: float | None, loss: Estimate | str, gain: Estimate | str) -> dict[str, Any]:
    if isinstance(loss, str) or isinstance(gain, str):
        return {"before": before, "after": after, "lost": None, "meaning": loss}
    lost = {"value": loss.value, "lower": loss.lower, "upper": loss.upper}
    return {"before": before, "after": after, "lost": lost, "meaning": _meaning(loss, gain)}


def _meaning(loss: Estimate, gain: Estimate) -> str:
    if loss.lower > 0:
        return "worse"
    if gain.lower > 0:
        return "better"
    return "the same" if loss.lower == loss.upper == 0 else "not told apart"
