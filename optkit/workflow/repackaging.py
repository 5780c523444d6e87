"""`optkit package`: emits a finished run again, for another runtime or with other options."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optkit.core import gates, interface
from optkit.core.artifact import Artifact
from optkit.core.errors import GateFailed, UsageError
from optkit.core.objective import PARETO
from optkit.core.options import build_from_texts
from optkit.core.store import DamagedObject, Store
from optkit.core.validate import did_you_mean
from optkit.workflow.engines import runtime_of
from optkit.workflow.output import REPORT
from optkit.workflow.packaging import emit, entry_name, unserved
from optkit.workflow.tables import TARGETS, load_tables

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from optkit.core.gates import Approved
    from optkit.core.results import CandidateResult, RunReport
    from optkit.serving.emitter import Deployable, Emitter


def repackage(run: Path, emitter: str, target: Path, options: Sequence[str], store: Path) -> dict[str, str]:
    """Emits the approved candidates of a run.

    Args:
        run: Output folder of `optimize`.
        emitter: Key of the emitters table.
        target: New folder for the entries.
        options: `name=value` texts.
        store: Where the run's artifacts are.

    Returns:
        Entry name → its path.

    Raises:
        GateFailed: No candidate's recorded measurements hold its gates.
        UsageError: The run or an option is wrong, or the artifacts are no longer in the store.
    """
    from optkit.report.json_report import read_json

    maker = _configured(emitter, options)
    if target.exists():
        raise UsageError(f"{target} exists", hint="give a new folder with -o")
    report = read_json(run / REPORT)
    kept = [each for each in report.candidates if report.choice is None or each.name in report.choice.kept]
    approved = [each for candidate in kept if (each := _approve(candidate))]
    if not approved:
        raise GateFailed(f"{run} holds no approved candidate", hint=f"see {run / 'summary.md'}")
    targets = {candidate.name: candidate.target for candidate in report.candidates}
    runtimes = {
        each.candidate: runtime_of(_folder(each, Store(store)), TARGETS[targets[each.candidate]].runtime)
        for each in approved
    }
    served = [each for each in approved if runtimes[each.candidate] in maker.runtimes]
    if not served:
        raise UsageError(unserved(emitter, maker, ", ".join(sorted(set(runtimes.values())))))
    target.parent.mkdir(parents=True, exist_ok=True)
    deployables = [_deployable(report, each, Store(store), runtimes[each.candidate]) for each in served]
    emit(deployables, maker, target)
    return {each.name: str(target / each.name) for each in deployables}


def _approve(candidate: CandidateResult) -> Approved | None:
    """Judges the recorded numbers again: a report that merely says `approved` is not believed."""
    artifact = Artifact("onnx", candidate.digest)
    try:
        return gates.approve(candidate.name, artifact, [gates.judge_again(verdict) for verdict in candidate.verdicts])
    except GateFailed:
        return None


def _folder(approved: Approved, store: Store) -> Path:
    try:
        return store.get(approved.artifact)
    except DamagedObject:
        raise UsageError(
            f"the model of {approved.candidate} is not in the store {store.root}", hint="run `optkit optimize` again"
        ) from None


def _deployable(report: RunReport, approved: Approved, store: Store, runtime: str) -> Deployable:
    from optkit.serving.emitter import Deployable

    folder = _folder(approved, store)
    alone = len(report.candidates) == 1 or (report.choice is not None and report.choice.objective != PARETO)
    name = entry_name(report.recipe, approved.candidate, alone=alone)
    return Deployable(name, folder, interface.read(folder), report.class_names, runtime)


def _configured(emitter: str, options: Sequence[str]) -> Emitter:
    emitters = load_tables().emitters
    if emitter not in emitters:
        raise UsageError(f"no serving runtime {emitter!r}", hint=did_you_mean(emitter, emitters))
    made: Emitter = build_from_texts(emitters[emitter], options, "--set")
    return made
