"""`optkit optimize`: plan, run, measure, judge, package, report."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from optkit.core import gates
from optkit.core.artifact import digest_file
from optkit.core.errors import GateFailed, OptkitError
from optkit.core.events import Bisected, Event, Judged, Note
from optkit.core.keys import Environment
from optkit.core.parse import parse_recipe
from optkit.core.results import CandidateResult, RunReport
from optkit.core.runner import Execution
from optkit.core.store import Store
from optkit.workflow import engines, evaluation, output, packaging, releasing, reporting, timing
from optkit.workflow.alternatives import check_target, skip
from optkit.workflow.choices import choices
from optkit.workflow.choosing import choose
from optkit.workflow.findings import baseline_result, source_digests, step_result
from optkit.workflow.host import this_host
from optkit.workflow.judging import verdicts
from optkit.workflow.provenance import provenance
from optkit.workflow.regression import Conditions, regressions
from optkit.workflow.request import command
from optkit.workflow.sources import recipe_sources
from optkit.workflow.splits import check_splits
from optkit.workflow.subjects import Subject, baseline_of, candidate_of
from optkit.workflow.tables import load_tables

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Iterable, Iterator, Sequence

    from optkit.core.gates import Approved
    from optkit.core.recipe import Recipe
    from optkit.core.release import Release
    from optkit.core.results import Choice, MetricResult
    from optkit.workflow.request import Request
    from optkit.workflow.timing import Timings

SEED = 0
_MOST_REFUSED = 20


def optimize(request: Request) -> Generator[Event, None, tuple[RunReport, Path]]:
    """Runs a recipe to its end.

    Yields:
        What happens, as it happens.

    Returns:
        The report and the output folder. Only approved candidates were packaged.

    Raises:
        OptkitError: The recipe is wrong, or a step failed.
    """
    tables = load_tables()
    try:
        recipe = parse_recipe(request.recipe, tables, this_host(), request.overrides)
    except OptkitError:
        if request.output is not None:
            output.clear(request.output, tables.emitters)
        raise
    folder = request.output or Path("out") / recipe.name
    output.prepare(folder, tables.emitters)
    try:
        report = yield from _start(recipe, folder, request).events()
    except BaseException as error:
        output.discard(folder, tables.emitters)
        if isinstance(error, OptkitError):
            with suppress(OptkitError):  # the full disk that ended the run
                reporting.write_failure(recipe.name, error, folder)
        raise
    return report, folder


def refusal(report: RunReport) -> str:
    """Returns which verdicts refused which candidate, and by how much they missed, or why none of them was kept."""
    if report.choice and any(candidate.approved for candidate in report.candidates):
        return f"{report.choice.why}; nothing was packaged"
    lines = ["no candidate is approved; nothing was packaged:"]
    for candidate in report.candidates:
        refused = [verdict for verdict in candidate.verdicts if not verdict.accepted]
        lines += [f"  {candidate.name}: {verdict}" for verdict in refused[:_MOST_REFUSED]]
        if len(refused) > _MOST_REFUSED:
            lines.append(f"  {candidate.name}: and {len(refused) - _MOST_REFUSED} more, which junit.xml lists")
    return "\n".join(lines)


def _start(recipe: Recipe, folder: Path, request: Request) -> _Run:
    store = Store(request.store)
    store.sweep()
    sources = recipe_sources(recipe, store.digests.file)
    execution = Execution(sources, store, Environment.here(this_host()), folder / output.REPRO)
    return _Run(recipe, folder, execution, request, _release(recipe, request))


def _release(recipe: Recipe, request: Request) -> Release | None:
    if request.baseline is None:
        return None
    here = releasing.machine_class(provenance({}, SEED))
    return releasing.read_release(request.baseline, recipe, here, any_machine=request.any_machine)


@dataclass(slots=True)
class _Run:
    recipe: Recipe
    folder: Path
    execution: Execution
    request: Request
    release: Release | None
    started: float = field(default_factory=time.time)
    remarks: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)

    def events(self) -> Generator[Event, None, RunReport]:
        """Runs everything in order; this order is the product's promise."""
        yield from self._remark_missing_gates()
        yield from self._remark_release()
        for name in self.recipe.leaves:
            yield from self._attempt([name], self._check_installed(name))
        packaging.check_served(self.recipe)
        evaluation.check_data(self.recipe, self.execution.sources)
        packaging.check_tuned(self.recipe)
        yield from check_splits(self.recipe, self.execution)
        for step in self.recipe.steps:
            if step in self.recipe.steps:  # its branch was not skipped since
                yield from self._attempt(self.recipe.leaves_of(step.name), self.execution.execute(step))
        yield from self._remark_choices()
        baseline = baseline_of(self.recipe)
        candidates = [candidate_of(self.recipe, name) for name in self.recipe.leaves]
        measured = {subject.reference for subject in candidates}
        for name in {self.recipe.reference, *self.recipe.leaves, *measured}:
            yield from self.execution.materialise(name)
        yield from evaluation.predict(self.recipe, baseline, self.execution)
        for subject in candidates:
            yield from self._attempt([subject.name], evaluation.predict(self.recipe, subject, self.execution))
        candidates = [subject for subject in candidates if subject.name in self.recipe.leaves]
        # Before the timing: a metric that does not fit should not cost a measurement.
        scores = [evaluation.score(self.recipe, baseline, candidate, self.execution) for candidate in candidates]
        timings = yield from timing.measure(self.recipe, baseline, candidates, self.execution)
        self.remarks += timing.unprofiled(timings.report) if timings.report else []
        results: list[CandidateResult] = []
        approved: list[Approved] = []
        for candidate, metrics in zip(candidates, scores, strict=True):
            result = yield from self._candidate(baseline, candidate, metrics, timings)
            results.append(result)
            approved += self._approve(result)
        if self.request.bisect:
            for candidate, result in zip(candidates, results, strict=True):
                yield from self._bisect(baseline, candidate, result)
        choice = yield from self._choose(results)
        if choice:
            approved = [each for each in approved if each.candidate in choice.kept]
        packages = yield from packaging.package(self.recipe, approved, self.execution, self.folder)
        results = [replace(result, packages=packages.get(result.name, {})) for result in results]
        yield from self._write_kits(results)
        return (yield from self._report(baseline, results, timings, choice))

    def _remark(self, line: str) -> Note:
        self.remarks.append(line)
        return Note(line)

    def _check_installed(self, leaf: str) -> Iterator[Event]:
        check_target(self.recipe, leaf)
        yield from ()

    def _attempt(self, leaves: Collection[str], work: Iterator[Event]) -> Iterator[Event]:
        """Does what only some candidates need; a failure skips their targets where the recipe chooses among others."""
        try:
            yield from work
        except OptkitError as error:
            self.recipe, skipped = skip(self.recipe, leaves, error)
            self.skipped |= skipped
            yield from (self._remark(f"{target} is skipped: {why}") for target, why in skipped.items())

    def _choose(self, results: Sequence[CandidateResult]) -> Generator[Event, None, Choice | None]:
        if self.recipe.objective is None:
            return None
        unserved = packaging.unserved_leaves(self.recipe)
        choice = choose(self.recipe.objective, results, unserved, this_host().fingerprint)
        yield self._remark(choice.why)
        return choice

    def _write_kits(self, results: list[CandidateResult]) -> Iterator[Event]:
        waiting = engines.waiting(self.recipe, results)
        if waiting:
            folder = self.folder / output.KITS
            engines.write_kits({name: self.execution.path(name) for name in waiting}, folder)
            yield Note(f"build kits, not approved: {folder}")

    def _remark_missing_gates(self) -> Iterator[Event]:
        if not any(self.recipe.gates_of(leaf) for leaf in self.recipe.leaves):
            yield self._remark("the recipe has no gates: nothing was demanded of the result")

    def _remark_release(self) -> Iterator[Event]:
        """Says what the comparison with the last release rests on, or that a recipe which asks for one gets none."""
        lines: Iterable[str] = ()
        if self.release is not None:
            lines = releasing.remarks(self.release, provenance({}, SEED), self.recipe.leaves)
        elif any(gate.max_regression is not None for gate in self.recipe.gates.values()):
            lines = ["there is no --baseline: max_regression is not judged"]
        yield from map(self._remark, lines)

    def _remark_choices(self) -> Iterator[Event]:
        """Says what steps decided by themselves."""
        for step in self.recipe.steps:
            notes = self.execution.finished[step.name].record.get("notes", {})
            yield from map(self._remark, choices(step.name, notes))

    def _candidate(
        self, baseline: Subject, candidate: Subject, metrics: list[MetricResult], timings: Timings
    ) -> Generator[Event, None, CandidateResult]:
        size = packaging.model_bytes(self.execution.path(candidate.name))
        ratio = size / packaging.model_bytes(self.execution.path(self.recipe.reference))
        gates_of = self.recipe.gates_of(candidate.name)
        speedup = timings.speedup(candidate.name)
        judged = verdicts(gates_of, metrics, ratio, speedup, timings.pair(candidate.name))
        judged += engines.awaited(self.recipe.step(candidate.name).do)
        result = CandidateResult(
            name=candidate.name,
            target=self.recipe.targets[candidate.name],
            digest=self.execution.results[candidate.name].digest,
            size_bytes=size,
            size_ratio=ratio,
            metrics=tuple(metrics),
            timing=timings.of(candidate.name),
            speedup=None if isinstance(speedup, str) else speedup,
            untimed=speedup if isinstance(speedup, str) else "",
            verdicts=(),
            approved=False,
        )
        if self.release is not None:
            about = provenance(source_digests(self.execution), SEED)
            here = Conditions(self.execution.digest(baseline.reference), about.sources, releasing.machine_class(about))
            judged += regressions(gates_of, self.release, here, result)
        for verdict in judged:
            yield Judged(candidate.name, verdict.gate, verdict.rule, str(verdict.status), str(verdict))
        return replace(result, verdicts=tuple(judged), approved=all(verdict.accepted for verdict in judged))

    def _bisect(self, baseline: Subject, candidate: Subject, result: CandidateResult) -> Iterator[Event]:
        from optkit.workflow.bisecting import bisect

        names = {metric.name for metric in result.metrics}
        refused = [verdict.gate for verdict in result.verdicts if verdict.gate in names and not verdict.accepted]
        try:
            for event in bisect(self.recipe, baseline, candidate, self.execution, list(dict.fromkeys(refused))):
                if isinstance(event, Bisected):
                    self.remarks.append(event.text)
                yield event
        except OptkitError as error:  # the run is judged already: its verdict must not be lost
            yield self._remark(f"{candidate.name} could not be bisected: {error.message}")

    def _approve(self, result: CandidateResult) -> list[Approved]:
        """Returns the approved candidate, or nothing; `gates.approve` alone decides."""
        try:
            return [gates.approve(result.name, self.execution.results[result.name], result.verdicts)]
        except GateFailed:
            return []

    def _report(
        self, baseline: Subject, candidates: list[CandidateResult], timings: Timings, choice: Choice | None
    ) -> Generator[Event, None, RunReport]:
        kept = choice.kept if choice else [candidate for candidate in candidates if candidate.approved]
        report = RunReport(
            version=1,
            recipe=self.recipe.name,
            recipe_sha256=digest_file(self.recipe.path),
            started=datetime.fromtimestamp(self.started, UTC).isoformat(timespec="seconds"),
            seconds=time.time() - self.started,
            outcome="approved" if kept else "refused",
            baseline=baseline_result(self.recipe, baseline, timings, self.execution),
            candidates=tuple(candidates),
            steps=tuple(step_result(event, self.execution) for event in self.execution.finished.values()),
            provenance=provenance(source_digests(self.execution), SEED),
            remarks=tuple(self.remarks),
            class_names=packaging.class_names(self.recipe, self.execution.sources),
            skipped=self.skipped,
            choice=choice,
            command=command(self.request),
        )
        reporting.write(report, self.folder)
        if self.request.lock:
            rows = [(step.name, step.key, step.digest) for step in report.steps]
            path = output.write_lock(self.recipe.path, rows, report.provenance.versions)
            yield Note(f"wrote {path}")
        return report
