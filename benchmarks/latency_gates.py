"""How often a latency gate errs on a loaded machine: starts recorded once, resampled into many runs; and real runs.

Three subjects: a model, the model again in a process of its own, and the model with an extra layer, which makes it 10 %
slower on an idle machine. A busy loop holds one of the cores that they are pinned to.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from harness import RESULTS
from onnx import TensorProto, helper, numpy_helper

from optkit.core import interface as interfaces
from optkit.core.gates import Estimate, Gate, Status, judge
from optkit.core.interface import Dim, Interface, Tensor
from optkit.core.recipe import MeasureSpec
from optkit.measure.latency_report import ProcessFacts, Progress, Subject
from optkit.measure.measurement import Measurement
from optkit.measure.rounds import Rounds
from optkit.measure.statistics import wilson_interval
from optkit.measure.worker_process import cpus_for, start_worker
from optkit.measure.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from optkit.measure.latency_report import LatencyReport, Speedup
    from optkit.measure.rounds import Turn

RECORDED = RESULTS / "loaded-machine.npz"
BASELINE, SAME, SLOWER = NAMES = ("model", "same", "slower")
WIDTH, BATCH, THREADS = 256, 32, 2
WIDTHS = {BASELINE: (WIDTH,) * 11, SAME: (WIDTH,) * 11, SLOWER: (*(WIDTH,) * 11, 120, WIDTH)}
"""Of what goes from layer to layer: ten layers, and the slower model's extra one, which takes as long as makes 10 %."""
GATE = Gate(min_speedup=0.95)
DEFAULTS = MeasureSpec()
BLOCK = 10
"""Rounds, on average, that a resampled start takes from a recorded one in one piece."""
_MOST_ROUNDS = 2000
EXCLUDE_1 = "bounds exclude 1"


def record(starts: int, seconds: float) -> None:
    """Writes every run, the length of every turn, and the seconds until it was warm, of several starts."""
    recorded: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder, busy_loop() as loop:
        subjects = [_subject(name, Path(folder)) for name in NAMES]
        for at in range(starts):
            cost, turns = _start(subjects, Path(folder), seconds)
            recorded[f"cost{at}"] = np.float32(cost)
            recorded |= {f"{name}{at}": np.array(turns[name], np.uint32) for name in NAMES}
            said = f"{cost:.1f} s, {len(turns[BASELINE]) // 2} rounds, busy loop {loop.share():.0%} of a core"
            print(f"start {at}: {said}", flush=True)
    np.savez_compressed(RECORDED, **recorded)


def simulate(candidate: str, runs: int, seconds: float) -> list[Run]:
    """Returns the results of `runs` measurements resampled from the recording."""
    random = np.random.default_rng(0)
    with np.load(RECORDED) as recorded:
        starts = [
            {name: recorded[f"{name}{at}"] for name in ("cost", *NAMES)}
            for at in range(len(recorded.files) // (len(NAMES) + 1))
        ]
    return [_finish(Resampled(starts, candidate, seconds, random))[candidate] for _ in range(runs)]


def really_run(runs: int, seconds: float) -> dict[str, list[Run]]:
    """Returns candidate → the results of `runs` measurements; each is of both candidates, with processes of its own."""
    results: dict[str, list[Run]] = {SAME: [], SLOWER: []}
    with tempfile.TemporaryDirectory() as folder, busy_loop() as loop:
        baseline, *others = (_subject(name, Path(folder)) for name in NAMES)
        np.save(Path(folder) / "x.npy", _input())
        files = {BATCH: {"x": str(Path(folder) / "x.npy")}}
        for at in range(runs):
            measurement = Measurement([baseline, *others], files, seconds * len(others), DEFAULTS.precision)
            found = _finish(measurement)
            for name, result in found.items():
                results[name].append(result)
            print(
                f"run {at}: {', '.join(map(str, found.values()))}; busy loop {loop.share():.0%} of a core", flush=True
            )
    return results


@dataclass(frozen=True, slots=True)
class Run:
    """One measurement of one candidate.

    Attributes:
        speedup: What came out.
        starts: How many there were.
        seconds: That it took, for each candidate that it was of.
    """

    speedup: Speedup
    starts: int
    seconds: float

    def __str__(self) -> str:
        low, high = self.speedup.interval
        found = f"{self.speedup.ratio:.3f} [{low:.3f}, {high:.3f}] {status(self)}"
        return f"{found}, {self.starts} starts, {self.seconds:.1f} s"


def shares(results: Sequence[Run]) -> dict[str, list[float]]:
    """Returns outcome → its share of the results and the 95 % interval of that."""
    counts = Counter[str](status(result) for result in results)
    intervals = [result.speedup.interval for result in results]
    counts[EXCLUDE_1] = sum(not low <= 1 <= high for low, high in intervals)
    total = len(results)
    return {
        outcome: [counts[outcome] / total, *wilson_interval(counts[outcome], total)] for outcome in (*Status, EXCLUDE_1)
    }


@contextmanager
def busy_loop() -> Iterator[BusyLoop]:
    """Keeps the first of the CPUs that subjects are pinned to busy."""
    loop = f"import os\nos.sched_setaffinity(0, [{cpus_for(THREADS)[0]}])\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-c", loop]) as process:
        try:
            yield BusyLoop(process)
        finally:
            process.kill()


class BusyLoop:
    """A process that computes for nothing."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._seen, self._computed = time.monotonic(), 0.0

    def share(self) -> float:
        """Returns how much of a core it had since it was asked last.

        Raises:
            RuntimeError: It ended: what was measured is not what it should be.
        """
        if self._process.poll() is not None:
            raise RuntimeError("the busy loop ended")
        now = time.monotonic()
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        computed = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        share = (computed - self._computed) / (now - self._seen)
        self._seen, self._computed = now, computed
        return share


def status(run: Run) -> Status:
    """Returns what the gate says."""
    found = Estimate(run.speedup.ratio, *run.speedup.interval)
    (verdict,) = judge("latency", GATE, {"min_speedup": found})
    return verdict.status


def _start(subjects: Sequence[Subject], folder: Path, seconds: float) -> tuple[float, dict[str, list[list[int]]]]:
    """Returns the seconds until processes were warm, and subject → of each turn its length and its runs, in ns."""
    turns: dict[str, list[list[int]]] = {name: [] for name in NAMES}
    np.save(folder / "x.npy", _input())
    with ExitStack() as stack:
        began = time.monotonic()
        workers = Workers()
        workers.open([stack.enter_context(start_worker(subject)) for subject in subjects], cpus_for(THREADS))
        taken = workers.turns({"x": str(folder / "x.npy")})
        cost = time.monotonic() - began
        rounds = Rounds({name: _noting(taken[name], turns[name]) for name in NAMES}, precision=0.0)
        for _ in rounds.run(seconds):
            pass
    return cost, turns


def _noting(turn: Turn, notes: list[list[int]]) -> Turn:
    def noted() -> Sequence[int]:
        started = time.perf_counter_ns()
        samples = turn()
        notes.append([time.perf_counter_ns() - started, *samples])
        return samples

    return noted


class Resampled(Measurement):
    """A measurement of recorded starts, drawn with replacement; who is the model and who is the same, by lot.

    Within a start, rounds are drawn by the stationary bootstrap, in pieces of BLOCK on average, which keep what
    neighbouring rounds have in common. Source: D. N. Politis and J. P. Romano, The stationary bootstrap, JASA 89
    (1994), 1303-1313.
    """

    def __init__(
        self, starts: Sequence[Mapping[str, NDArray[Any]]], candidate: str, seconds: float, random: np.random.Generator
    ) -> None:
        self._recorded, self._random, self._now = starts, random, 0.0
        subjects = [Subject(name, "onnxruntime", Path(), THREADS) for name in (BASELINE, candidate)]
        super().__init__(subjects, {BATCH: {}}, seconds, DEFAULTS.precision, lambda: self._now)

    def open(self, stack: ExitStack) -> Generator[Progress, None, Workers]:  # noqa: ARG002  # nothing to close
        """Draws a start."""
        yield Progress(0.0, "")
        recorded = self._recorded[int(self._random.integers(len(self._recorded)))]
        self._now += float(recorded["cost"]) * len(self._subjects) / len(NAMES)
        drawn = _drawn_rounds(len(recorded[BASELINE]) // 2, self._random)
        names = [subject.name for subject in self._subjects]
        played = names[::-1] if SAME in names and self._random.integers(2) else names
        return _Replayed({name: self._turn(recorded[other], drawn) for name, other in zip(names, played, strict=True)})

    def _turn(self, turns: NDArray[Any], drawn: Sequence[int]) -> Turn:
        coming = (turn for at in drawn for turn in turns[2 * at : 2 * at + 2])

        def turn() -> list[int]:
            length, *samples = map(int, next(coming))
            self._now += length / 1e9
            return samples

        return turn


class _Replayed(Workers):
    def __init__(self, turns: dict[str, Turn]) -> None:
        super().__init__()
        self._turns = turns

    def turns(self, files: Mapping[str, str]) -> dict[str, Turn]:  # noqa: ARG002  # nothing is fed
        return self._turns

    def facts(self) -> dict[str, ProcessFacts]:
        return dict.fromkeys(self._turns, ProcessFacts(0.0, 0.0, 0))


def _drawn_rounds(count: int, random: np.random.Generator) -> list[int]:
    """Returns round numbers, more than a start can use."""
    drawn: list[int] = []
    while len(drawn) < _MOST_ROUNDS:
        begin = random.integers(count)
        drawn.extend((begin + np.arange(random.geometric(1 / BLOCK))) % count)
    return drawn


def _finish(measurement: Measurement) -> dict[str, Run]:
    """Returns candidate → what a measurement found."""
    progress = measurement.run(profile=False)
    while True:
        try:
            next(progress)
        except StopIteration as stop:
            report: LatencyReport = stop.value
            speedups = report.feeds[-1].speedups
            return {name: Run(each, report.starts, report.seconds / len(speedups)) for name, each in speedups.items()}


def _input() -> NDArray[Any]:
    return np.random.default_rng(1).standard_normal((BATCH, WIDTH), np.float32)


def _subject(name: str, folder: Path) -> Subject:
    """Writes a stack of layers, MatMul and Relu, of these widths, and returns it as something to time."""
    nodes, weights = [], []
    widths = WIDTHS[name]
    ends = ["x", *(f"relu{layer}" for layer in range(len(widths) - 2)), "y"]
    for layer, (taken, given) in enumerate(pairwise(widths)):
        weight = np.random.default_rng(layer).standard_normal((taken, given), np.float32) / taken**0.5
        weights.append(numpy_helper.from_array(weight.astype(np.float32), f"weight{layer}"))
        nodes += [
            helper.make_node("MatMul", [ends[layer], f"weight{layer}"], [f"product{layer}"]),
            helper.make_node("Relu", [f"product{layer}"], [ends[layer + 1]]),
        ]
    values = [helper.make_tensor_value_info(end, TensorProto.FLOAT, ["batch", WIDTH]) for end in "xy"]
    graph = helper.make_graph(nodes, name, values[:1], values[1:], weights)
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])
    (folder / name).mkdir(parents=True)
    onnx.save(model, folder / name / "model.onnx")
    x, y = (Tensor(end, "float32", ("batch", WIDTH)) for end in "xy")
    interfaces.write(folder / name, Interface((x,), (y,), {"batch": Dim(BATCH, BATCH, BATCH)}))
    return Subject(name, "onnxruntime", folder / name, THREADS)
