"""The processes of all subjects of one measurement: opened, fed and warmed up together.

A candidate that fails is left out from then on, and why is kept; without the baseline there is nothing to measure.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeVar

from optkit.core.errors import OptkitError
from optkit.measure.latency_report import ProcessFacts
from optkit.measure.profile import from_json

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from optkit.core.results import Profile
    from optkit.measure.rounds import Turn
    from optkit.measure.worker_process import WorkerProcess

    T = TypeVar("T")

_TURN_SECONDS = 0.005
"""Of an undisturbed turn. The speed of a loaded machine changes within tens of milliseconds: many short turns meet the
same machine, and bring a ratio to a given precision in a third of the time that turns of 20 ms take."""
_MOST_RUNS = 100


class Workers:
    """Those that have not failed; the first to be opened is the baseline's."""

    def __init__(self) -> None:
        self.failed: dict[str, OptkitError] = {}
        self._baseline = ""
        self._workers: dict[str, WorkerProcess] = {}
        self._loads: dict[str, float] = {}
        self._firsts: dict[str, float] = {}

    def open(self, worker: WorkerProcess, cpus: Sequence[int]) -> None:
        """Pins a worker to `cpus` and lets it load its model.

        Raises:
            OptkitError: It is the baseline's, and failed.
        """
        subject = worker.subject
        self._workers[subject.name] = worker
        self._baseline = self._baseline or subject.name
        self._loads |= self._ask_each([subject.name], lambda each: each.open(cpus))

    def turns(self, files: Mapping[str, str]) -> dict[str, Turn]:
        """Feeds and warms up all of them; returns how each takes a turn.

        Turns are made equally long by the time of one undisturbed run: a scheduler that must share the CPU interrupts
        longer turns more often, which would show as slower runs.

        Args:
            files: Input → npy file.

        Raises:
            OptkitError: The baseline failed.
        """
        self._ask_each(self._workers, lambda worker: worker.ask("feed", files=files))
        warm = self._ask_each(self._workers, lambda worker: worker.ask("warm_up"))
        self._firsts = {name: times["first_s"] for name, times in warm.items()} | self._firsts
        runs = {name: round(_TURN_SECONDS / times["settled_s"]) for name, times in warm.items()}
        return {name: partial(_take_turn, self._workers[name], min(_MOST_RUNS, runs[name])) for name in warm}

    def leave_out(self, failed: Mapping[str, OptkitError]) -> None:
        """Leaves out candidates that failed."""
        self.failed |= failed
        self._workers = {name: worker for name, worker in self._workers.items() if name not in failed}

    def facts(self) -> dict[str, ProcessFacts]:
        """Returns what each process used so far."""
        peaks = self._ask_each(self._workers, lambda worker: worker.ask("peak_rss"))
        return {name: ProcessFacts(self._loads[name], self._firsts[name], peak) for name, peak in peaks.items()}

    @property
    def names(self) -> tuple[str, ...]:
        """The subjects that have not failed."""
        return tuple(self._workers)

    def profile(self, name: str) -> Profile | str:
        """Returns where a subject's time goes, or why that is unknown: it is timed already, which must not be lost."""
        worker = self._workers[name]
        try:
            return from_json(worker.ask("profile", **worker.model))
        except OptkitError as error:
            return error.message

    def _ask_each(self, names: Collection[str], question: Callable[[WorkerProcess], T]) -> dict[str, T]:
        answers: dict[str, T] = {}
        for name in list(names):
            try:
                answers[name] = question(self._workers[name])
            except OptkitError as error:
                if name == self._baseline:
                    raise
                self.leave_out({name: error})
        return answers


def _take_turn(worker: WorkerProcess, runs: int) -> list[int]:
    if runs <= 1:
        return worker.ask("measure", count=1)  # type: ignore[no-any-return]  # JSON
    # The first of many runs finds the caches full of the other subjects' data; a long one hardly notices.
    return worker.ask("measure", count=runs + 1)[1:]  # type: ignore[no-any-return]  # JSON
