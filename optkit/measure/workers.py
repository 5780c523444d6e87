"""The processes of all subjects of one start: opened, fed and warmed up together.

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

_TURN_SECONDS = 0.002
"""Of an undisturbed turn: less than the slice that a scheduler gives each process of a CPU that several want. Turns of
5 ms mostly wait for the slice of another process, which makes for half as many rounds in the same time."""
_MOST_RUNS = 100
_LONG_RUN = 0.004
"""Seconds of a run that hardly notices whose data the caches hold when it begins."""


class Workers:
    """Those that have not failed; the first to be opened is the baseline's."""

    def __init__(self) -> None:
        self.failed: dict[str, OptkitError] = {}
        self._baseline = ""
        self._workers: dict[str, WorkerProcess] = {}
        self._loads: dict[str, float] = {}
        self._firsts: dict[str, float] = {}

    def open(self, workers: Sequence[WorkerProcess], cpus: Sequence[int]) -> None:
        """Pins workers to `cpus` and lets them load their models, all at the same time.

        Raises:
            OptkitError: The baseline failed.
        """
        opened = {worker.subject.name: worker for worker in workers}
        self._workers |= opened
        self._baseline = self._baseline or next(iter(opened))
        told = self._ask_each(opened, lambda worker: worker.tell("open", **worker.model, cpus=cpus))
        self._loads |= self._ask_each(told, lambda worker: worker.answer())

    def turns(self, files: Mapping[str, str]) -> dict[str, Turn]:
        """Feeds and warms up all of them; returns how each takes a turn.

        Turns are about equally long, as longer ones are interrupted more often. And subjects that are about as fast
        make as many runs in each: every run is faster than the one before, as caches fill, by 10 % at first and by 1 %
        still later, so that whoever made fewer would seem slower for that alone.

        Args:
            files: Input → npy file.

        Raises:
            OptkitError: The baseline failed.
        """
        self._ask_each(self._workers, lambda worker: worker.ask("feed", files=files))
        warm = self._ask_each(self._workers, lambda worker: worker.ask("warm_up"))
        self._firsts = {name: times["first_s"] for name, times in warm.items()} | self._firsts
        settled = {name: times["settled_s"] for name, times in warm.items()}
        slowest = max(settled.values())
        return {name: partial(_take_turn, self._workers[name], own, slowest) for name, own in settled.items()}

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


def _take_turn(worker: WorkerProcess, own: float, slowest: float) -> list[int]:
    """Returns the nanoseconds of each run, but for a first one that finds the caches full of the others' data."""
    cold = int(own < _LONG_RUN)
    return worker.ask("measure", count=cold + runs_in_a_turn(own, slowest))[cold:]  # type: ignore[no-any-return]  # JSON


def runs_in_a_turn(own: float, slowest: float) -> int:
    """Returns how many runs of `own` seconds are in a turn, where the slowest subject's take `slowest` seconds.

    It is a multiple of the runs that the slowest makes.
    """
    multiple = max(1, int(min(slowest, _TURN_SECONDS) / own))
    return min(_MOST_RUNS, multiple * max(1, round(_TURN_SECONDS / slowest)))
