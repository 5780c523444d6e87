"""Measurements on a machine of which everything is known: nobody has to wait for it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from optkit.core.errors import StepFailed
from optkit.measure.latency_report import LatencyReport, ProcessFacts, Progress, Subject
from optkit.measure.measurement import Measurement
from optkit.measure.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from contextlib import ExitStack

    from optkit.measure.rounds import Turn

PRECISION = 0.02


class Machine(Workers):
    """The processes of one start: each is as fast as it happens to be in that."""

    def __init__(self, measurement: Simulated) -> None:
        super().__init__()
        self._of = measurement
        self._speeds = {name: np.exp(measurement.random.normal(0, measurement.spread)) for name in measurement.times}

    def turns(self, files: Mapping[str, str]) -> dict[str, Turn]:  # noqa: ARG002  # nothing is read
        return {name: self._turn(name) for name in self._of.times}

    def facts(self) -> dict[str, ProcessFacts]:
        left = [name for name in self._of.times if name not in self.failed]
        return {name: ProcessFacts(1.0, 1.0, 1) for name in left}

    def _turn(self, name: str) -> Turn:
        def turn() -> list[int]:
            if name == "bad" and self._of.opened == self._of.fails_in:
                raise StepFailed("it broke")
            taken = self._of.times[name] * self._speeds[name] * math.exp(self._of.random.normal(0, 0.01))
            self._of.now += taken
            return [round(taken * 1e9)]

        return turn


class Simulated(Measurement):
    """A measurement whose starts cost one second each.

    Args:
        times: Subject → seconds of a turn.
        budget: Seconds.
        spread: Of the speed of one subject among its starts, on the log scale.
        seed: Of all noise.
        fails_in: The start in which the subject `bad` fails.
    """

    def __init__(self, times: dict[str, float], budget: float, spread: float, seed: int = 0, fails_in: int = 0) -> None:
        self.times, self.spread, self.fails_in = dict(times), spread, fails_in
        self.now, self.opened = 0.0, 0
        self.random = np.random.default_rng(seed)
        subjects = [Subject(name, "onnxruntime", Path(), 1) for name in times]
        super().__init__(subjects, {1: {}, 4: {}}, budget, PRECISION, lambda: self.now)

    def open(self, stack: ExitStack) -> Generator[Progress, None, Workers]:  # noqa: ARG002  # nothing to close
        yield self._progress("starting")
        self.now += 1.0
        self.opened += 1
        self.times = {subject.name: self.times[subject.name] for subject in self._subjects}
        return Machine(self)


def _finish(measurement: Simulated) -> tuple[list[Progress], LatencyReport]:
    seen, run = [], measurement.run(profile=False)
    while True:
        try:
            seen.append(next(run))
        except StopIteration as stop:
            return seen, stop.value


def test_identical_models_on_a_quiet_machine_need_a_fraction_of_the_time() -> None:
    seen, report = _finish(Simulated({"a": 0.01, "b": 0.01}, 25, 0.003))
    assert report.starts == 5
    assert report.seconds < 10
    assert report.feeds[-1].settled
    assert len(report.feeds[-1].timings["a"].samples) >= 5 * 20
    assert [each.fraction for each in seen] == sorted(each.fraction for each in seen)


def test_starts_that_differ_use_the_time_that_there_is() -> None:
    _, report = _finish(Simulated({"a": 0.01, "b": 0.01}, 25, 0.05))
    assert report.starts == 12
    assert not report.feeds[-1].settled
    assert report.seconds < 1 + 25 + 1


def test_time_for_one_start_gives_the_bounds_of_that_start() -> None:
    _, report = _finish(Simulated({"a": 0.02, "b": 0.01}, 1, 0.0))
    assert report.starts == 1
    lower, upper = report.feeds[-1].speedups["b"].interval
    assert 1.9 < lower < 2 < upper < 2.1


def test_bounds_hold_for_all_starts_not_for_those_that_were_seen() -> None:
    true, runs, too_high, too_low = 0.9, 60, 0, 0
    for seed in range(runs):
        measurement = Simulated({"a": 0.1, "b": 0.1 / true}, 20, 0.02, seed)
        lower, upper = _finish(measurement)[1].feeds[-1].speedups["b"].interval
        too_high, too_low = too_high + (lower > true), too_low + (upper < true)
    # 5 % each at most: 3 of 60, with a standard error of 1.7; those of one start would be wrong in 20.
    assert too_high <= 8
    assert too_low <= 8


def test_a_candidate_that_fails_in_a_later_start_is_left_out_from_then_on() -> None:
    measurement = Simulated({"a": 0.02, "bad": 0.01, "good": 0.01}, 25, 0.0, fails_in=3)
    _, report = _finish(measurement)
    assert {name: error.message for name, error in report.failed.items()} == {"bad": "it broke"}
    assert list(report.processes) == ["a", "good"]
    for feed in report.feeds:
        assert list(feed.speedups) == ["good"]
        assert list(feed.timings) == ["a", "good"]
    assert report.starts == 5


def test_a_baseline_whose_only_candidate_fails_goes_on_alone() -> None:
    _, report = _finish(Simulated({"a": 0.02, "bad": 0.01}, 25, 0.0, fails_in=2))
    assert list(report.failed) == ["bad"]
    assert report.feeds[-1].speedups == {}
    assert report.feeds[-1].timings["a"].percentiles["p50"] == pytest.approx(20, rel=0.01)
