"""The baseline file: made from an approved run, and read only where a comparison with it means something."""

from __future__ import annotations

import math
import statistics
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from optkit.core.errors import GateFailed, UsageError
from optkit.core.release import (
    FORMAT,
    VERSION,
    MachineClass,
    Release,
    ReleasedCandidate,
    ReleasedMetric,
    ReleasedTiming,
)
from optkit.core.results import Interval
from optkit.workflow.output import REPORT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from optkit.core.gates import Estimate
    from optkit.core.recipe import Recipe
    from optkit.core.results import CandidateResult, MetricResult, Provenance, RunReport, Timing

_NORMAL_95 = 1.96
RENEW = "`optkit baseline save RUN` writes a new one"


def save_release(run: Path, file: Path | None) -> Path:
    """Writes the baseline file of a run.

    Args:
        run: Output folder of `optimize`.
        file: Where to; `<recipe>.baseline.json` by default. An earlier one is replaced.

    Raises:
        GateFailed: The run holds no approved candidate.
        UsageError: There is no run, or the file cannot be written.
    """
    from optkit.report.codec import encode
    from optkit.report.files import write_text
    from optkit.report.json_report import read_json

    report = read_json(run / REPORT)
    file = file or Path(f"{report.recipe}.baseline.json")
    write_text(file, encode(release_of(report)))
    return file


def release_of(report: RunReport) -> Release:
    """Returns the numbers of a run's approved candidates.

    Raises:
        GateFailed: There is none.
    """
    approved = [each for each in report.candidates if each.approved]
    if not approved:
        raise GateFailed(
            "the run holds no approved candidate, and what is not approved is no release",
            hint="see its summary.md",
        )
    return numbers_of(report, approved)


def numbers_of(report: RunReport, candidates: Iterable[CandidateResult]) -> Release:
    """Returns the numbers of some of a run's candidates, as a baseline file would hold them."""
    about = report.provenance
    return Release(
        format=FORMAT,
        version=VERSION,
        recipe=report.recipe,
        started=report.started,
        machine=machine_class(about),
        versions=versions(about),
        original=report.baseline.digest,
        original_runtime=report.baseline.runtime,
        sources=dict(sorted(about.sources.items())),
        candidates={each.name: _candidate(each) for each in candidates},
    )


def read_release(file: Path, recipe: Recipe, here: MachineClass, *, any_machine: bool) -> Release:
    """Reads a baseline file.

    Args:
        file: The file.
        recipe: The recipe that it must be of.
        here: This machine's class.
        any_machine: Whether it may come from another class.

    Raises:
        UsageError: It is damaged, foreign, of another version or recipe, or of another machine class; says which.
    """
    from optkit.report.codec import load

    try:
        release = load(Release, file)
    except UsageError as error:
        raise UsageError(f"--baseline: {error.message}", hint=RENEW) from None
    if release.recipe != recipe.name:
        raise UsageError(f"{file} is the baseline of the recipe {release.recipe!r}, not of {recipe.name!r}", hint=RENEW)
    if not release.candidates.keys() & set(recipe.leaves):
        held, made = (", ".join(names) for names in (release.candidates, recipe.leaves))
        raise UsageError(f"{file} holds {held}, and the recipe makes {made}", hint=RENEW)
    differs = list(machine_differences(release.machine, here))
    if differs and not any_machine:
        raise UsageError(
            "\n".join([f"{file} was measured on another machine class:", *(f"  {line}" for line in differs)]),
            hint="save a baseline on this one, or compare ratios alone with --any-machine",
        )
    return release


def machine_class(about: Provenance) -> MachineClass:
    """Returns the machine class of a run; a kernel's release does not make another class."""
    words = about.platform.replace("-", " ").split()
    return MachineClass(about.cpu, " ".join(about.cpu_flags), about.cores, f"{words[0]} {words[-1]}")


def machine_differences(then: MachineClass, now: MachineClass) -> Iterator[str]:
    """Yields a line for each way in which two machine classes differ."""
    for name in ("cpu", "cores", "system"):
        before, after = getattr(then, name), getattr(now, name)
        if before != after:
            yield f"{name}: {before} → {after}"
    before, after = set(then.flags.split()), set(now.flags.split())
    if before != after:
        gone, new = sorted(before - after), sorted(after - before)
        yield f"cpu flags: {' '.join([*(f'-{flag}' for flag in gone), *(f'+{flag}' for flag in new)])}"


def remarks(release: Release, about: Provenance, candidates: Iterable[str]) -> Iterator[str]:
    """Yields what a reader of the comparison must know: what else differs, and what is compared with nothing."""
    differs = [
        f"{name} {before} → {after}"
        for name, before in release.versions.items()
        if (after := versions(about).get(name, "absent")) != before
    ]
    if differs:
        yield f"since the baseline: {', '.join(differs)}"
    for line in machine_differences(release.machine, machine_class(about)):
        yield f"the baseline is of another machine class, so only ratios are compared: {line}"
    names = list(candidates)
    for name in names:
        if name not in release.candidates:
            yield f"{name} is compared with nothing: the baseline holds {', '.join(release.candidates)}"
    for name in release.candidates:
        if name not in names:
            yield f"{name} is in the baseline, and this run does not make it"


def versions(about: Provenance) -> dict[str, str]:
    """Returns distribution → version, Python's own included."""
    return {"python": about.python, **about.versions}


def _candidate(candidate: CandidateResult) -> ReleasedCandidate:
    return ReleasedCandidate(
        target=candidate.target,
        digest=candidate.digest,
        size_bytes=candidate.size_bytes,
        metrics={metric.name: _metric(metric) for metric in candidate.metrics},
        timing=_timing(candidate),
    )


def _metric(metric: MetricResult) -> ReleasedMetric:
    return ReleasedMetric(metric.kind, metric.data, metric.samples, metric.candidate, _interval(metric.drop))


def _interval(estimate: Estimate) -> Interval:
    """Returns the number and its bounds, without what a gate made of them."""
    return Interval(estimate.value, estimate.lower, estimate.upper)


def _timing(candidate: CandidateResult) -> ReleasedTiming | None:
    timing = candidate.timing
    if timing is None or candidate.speedup is None:
        return None
    low, _, high = statistics.quantiles(chain.from_iterable(timing.samples_ms), n=4, method="inclusive")
    return ReleasedTiming(
        runtime=timing.runtime,
        threads=timing.threads,
        sizes=timing.sizes,
        p50_ms=p50_of(timing),
        middle_half_ms=(low, high),
        speedup=_interval(candidate.speedup),
        peak_rss_bytes=timing.peak_rss_bytes,
    )


def p50_of(timing: Timing) -> Interval:
    """Returns the median latency with a distribution-free interval over the medians of the rounds.

    Runs of one round are alike and no independent samples; rounds nearly are.

    Source: H. A. David and H. N. Nagaraja, Order Statistics (2003), section 7.1.
    """
    medians = sorted(map(statistics.median, timing.samples_ms))
    count = len(medians)
    rank = max(0, math.floor((count - _NORMAL_95 * math.sqrt(count)) / 2))
    return Interval(timing.p50_ms, min(medians[rank], timing.p50_ms), max(medians[-1 - rank], timing.p50_ms))
