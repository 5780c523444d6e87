"""Latency of the candidates, interleaved with the baseline. An observation: never cached."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from optkit.core import interface
from optkit.core.events import Event, Note, StepStarted
from optkit.core.gates import Estimate
from optkit.core.results import Timing
from optkit.workflow.progress import STEP, as_events
from optkit.workflow.sweeping import sweep_all

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from optkit.core.recipe import Recipe
    from optkit.core.results import SweepPoint
    from optkit.core.runner import Execution
    from optkit.measure.latency_report import LatencyReport
    from optkit.measure.latency_report import Subject as Timed
    from optkit.workflow.subjects import Subject


@dataclass(frozen=True, slots=True)
class Timings:
    """What was timed, and why the rest was not.

    Attributes:
        sizes: Dynamic dimension → size of the feed that gates look at.
        threads: Threads of every session.
        runtimes: Subject → runtime.
        report: The measurement; None if nothing was timed.
        untimed: Candidate → why it was not timed.
        baseline: Name of the baseline.
        sweeps: Subject → how it did in the settings that the recipe asks for.
    """

    sizes: dict[str, int]
    threads: int
    runtimes: dict[str, str]
    report: LatencyReport | None
    untimed: dict[str, str]
    baseline: str
    sweeps: dict[str, tuple[SweepPoint, ...]]

    def of(self, name: str) -> Timing | None:
        """Returns the timing of a subject, if it was timed."""
        if self.report is None or name in self.untimed:
            return None
        timing = timing_of(self.report, name, self.runtimes[name], self.threads, self.sizes)
        return replace(timing, sweep=self.sweeps.get(name, ()))

    def speedup(self, name: str) -> Estimate | str:
        """Returns the speed-up of a candidate at the tuned sizes, or why it is unknown."""
        if self.report is None or name in self.untimed:
            return self.untimed.get(name, "nothing was timed")
        measured = self.report.feeds[-1].speedups[name]
        return Estimate(measured.ratio, *measured.interval)

    def pair(self, name: str) -> tuple[Timing, Timing] | str:
        """Returns the timings of baseline and candidate, or why they are unknown."""
        baseline, candidate = self.of(self.baseline), self.of(name)
        return (baseline, candidate) if baseline and candidate else self.untimed.get(name, "nothing was timed")


def measure(
    recipe: Recipe, baseline: Subject, candidates: Sequence[Subject], execution: Execution
) -> Generator[Event, None, Timings]:
    """Times the baseline and every candidate whose target can be timed here.

    Raises:
        StepFailed: A model crashed or failed while it was timed.
    """
    untimed = {candidate.name: candidate.untimed for candidate in candidates if candidate.untimed}
    timed = [candidate for candidate in candidates if candidate.name not in untimed]
    threads = recipe.measure.threads
    model = interface.read(execution.path((timed or candidates)[0].reference))
    report, sweeps = None, {}
    if timed:
        yield from execution.materialise(baseline.reference)
        subjects = [_timed(subject, execution, threads) for subject in (baseline, *timed)]
        yield StepStarted(STEP)
        seconds = recipe.measure.seconds * len(timed)
        report = yield from run(subjects, model, seconds, recipe.measure.precision, profile=True)
        report.raise_failure()
        sweeps = yield from sweep_all(subjects, model, recipe.measure.sweep)
    runtimes = {subject.name: subject.runtime for subject in (baseline, *candidates)}
    return Timings(model.sizes("opt"), threads, runtimes, report, untimed, baseline.name, sweeps)


def timing_of(report: LatencyReport, name: str, runtime: str, threads: int, sizes: dict[str, int]) -> Timing:
    """Returns one subject's part of a measurement; percentiles are those of the largest batch."""
    largest = report.feeds[-1].timings[name]
    process = report.processes[name]
    return Timing(
        runtime=runtime,
        threads=threads,
        sizes=sizes,
        p50_ms=largest.percentiles["p50"],
        p90_ms=largest.percentiles.get("p90"),
        p99_ms=largest.percentiles.get("p99"),
        samples_ms=tuple(tuple(sample / 1e6 for sample in round_) for round_ in largest.samples),
        throughput={feed.batch: feed.timings[name].throughput for feed in report.feeds},
        load_seconds=process.load_s,
        first_ms=process.first_run_s * 1e3,
        peak_rss_bytes=process.peak_rss,
        profile=None if isinstance(profile := report.profiles.get(name), str) else profile,
        starts=report.starts,
        measuring_seconds=report.seconds / max(1, len(report.feeds[-1].speedups)),
    )


def run(
    subjects: Sequence[Timed], model: interface.Interface, seconds: float, precision: float, *, profile: bool
) -> Generator[Event, None, LatencyReport]:
    """Times subjects on made-up inputs at the tuned sizes, passing progress on as events; says what has no profile."""
    from optkit.measure.latency import made_up_feeds, measure_latency

    report = yield from as_events(
        measure_latency(subjects[0], subjects[1:], made_up_feeds(model), seconds, precision, profile=profile)
    )
    for line in unprofiled(report):
        yield Note(line)
    return report


def unprofiled(report: LatencyReport) -> list[str]:
    """Returns a sentence for each subject that was timed, but whose profile failed."""
    return [f"{name} has no profile: {why}" for name, why in report.profiles.items() if isinstance(why, str)]


def _timed(subject: Subject, execution: Execution, threads: int) -> Timed:
    from optkit.measure.latency_report import Subject as Timed

    return Timed(subject.name, subject.runtime, execution.path(subject.reference), threads)
