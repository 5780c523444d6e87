"""Executes a plan against a store: the only imperative shell around the passes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from optkit.core import process
from optkit.core.errors import OptkitError, StepFailed
from optkit.core.events import Event, ObjectDamaged, StepFinished, StepProgress, StepStarted, StepWaiting
from optkit.core.keys import Environment, key_of, key_parts
from optkit.core.repro import write_repro
from optkit.core.store import Action, DamagedObject, Store, disk_errors

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping
    from pathlib import Path

    from optkit.core.artifact import Artifact
    from optkit.core.recipe import Step
    from optkit.core.sources import Source


@dataclass(slots=True)
class Execution:
    """One walk over some steps.

    Attributes:
        sources: Name → what the user gave.
        store: Where artifacts are.
        environment: What keys say about this machine.
        repro: Folder where a failed step's repro is written.
        steps: Those executed so far, by name.
        results: Their artifacts.
        finished: How each ended.
    """

    sources: Mapping[str, Source]
    store: Store
    environment: Environment
    repro: Path
    steps: dict[str, Step] = field(default_factory=dict)
    results: dict[str, Artifact] = field(default_factory=dict)
    finished: dict[str, StepFinished] = field(default_factory=dict)

    def execute(self, step: Step) -> Iterator[Event]:
        """Makes a step's artifact, or finds it in the store. The steps it needs come first.

        Raises:
            OptkitError: The step failed; nothing of it is kept but its repro folder.
        """
        self.steps[step.name] = step
        key = key_of(self.key_parts(step))
        action = self.store.find(key)
        if action is not None:
            yield self._finish(step, action, key, cached=True)
            return
        with disk_errors(self.store.root):
            yield from self._execute_alone(step, key)

    def _execute_alone(self, step: Step, key: str) -> Iterator[Event]:
        """Builds the step, unless another process is doing so: then its result is used."""
        if self.store.is_locked(key):
            yield StepWaiting(step.name)
        with self.store.lock(key):
            action = self.store.find(key)
            cached = action is not None
            if action is None:
                key, action = yield from self._build(step)
            yield self._finish(step, action, key, cached=cached)

    def key_parts(self, step: Step) -> dict[str, Any]:
        """Returns what the step's key is made of; its inputs must be known."""
        inputs = {role: self.digest(reference) for role, reference in step.inputs.items()}
        known = {role: self.sources[reference] for role, reference in step.inputs.items() if reference in self.sources}
        # The digests say all; this lets `plan --explain` say it in the user's words.
        about = {
            f"{role} {name}": value
            for role, source in known.items()
            for name, value in source.about(self.store.digests.file).items()
        }
        return key_parts(step, inputs, self.environment) | about

    def materialise(self, reference: str) -> Iterator[Event]:
        """Makes sure that a source or result is in the store with its bytes intact; rebuilds it if not."""
        if reference in self.sources:
            self.store.ingest(self.sources[reference])
            return
        artifact = self.results[reference]
        try:
            self.store.get(artifact)
        except DamagedObject:
            yield ObjectDamaged(reference, artifact.digest)
            yield from self.execute(self.steps[reference])
            yield from self.materialise(reference)

    def digest(self, reference: str) -> str:
        """Returns the digest of a source or result."""
        if reference in self.sources:
            return self.sources[reference].digest(self.store.digests.file)
        return self.results[reference].digest

    def path(self, reference: str) -> Path:
        """Returns the folder of a source or result that was materialised."""
        return self.store.object_path(self.digest(reference))

    def _finish(self, step: Step, action: Action, key: str, *, cached: bool) -> StepFinished:
        self.results[step.name] = action.artifact
        artifact = action.artifact
        self.finished[step.name] = StepFinished(step.name, artifact.kind, artifact.digest, cached, key, action.record)
        return self.finished[step.name]

    def _build(self, step: Step) -> Generator[Event, None, tuple[str, Action]]:
        yield StepStarted(step.name)
        for reference in step.inputs.values():
            yield from self.materialise(reference)
        parts = self.key_parts(step)  # an input that was rebuilt or edited meanwhile may have other bytes
        key = key_of(parts)
        inputs = {role: self.path(reference) for role, reference in step.inputs.items()}
        with self.store.workspace() as folder:
            scratch = self.store.scratch(key)
            try:
                for fraction, text in process.run_pass(step.do, inputs, folder, scratch, self.store.tools):
                    yield StepProgress(step.name, fraction, text)
                record = process.result_of(folder)
            except OptkitError as error:
                raise self._failed(step, error, inputs, folder) from None
            artifact = self.store.put(step.do.produces, folder / "out")
        action = Action(artifact, step.name, parts, record)
        self.store.commit(key, action)
        self.store.drop_scratch(key)
        return key, action

    def _failed(self, step: Step, error: OptkitError, inputs: Mapping[str, Path], folder: Path) -> OptkitError:
        message = f"{step.name}: {error.message}"
        if not isinstance(error, StepFailed):
            return type(error)(message, hint=error.hint)
        try:
            where = f"to reproduce: {write_repro(self.repro, step, inputs, folder)}"
        except OSError as failure:  # the full disk that failed the step, or a folder that cannot be written
            where = f"no repro was written to {self.repro}: {failure.strerror}"
        return StepFailed(message, hint="\n".join(filter(None, [error.hint, where])))
