"""How often a latency gate errs on a loaded machine: timings recorded once, resampled into many runs; and real runs.

Three subjects: a model, the model again in a process of its own, and the model with an eleventh layer as large as its
ten. A busy loop holds one of the cores that they are pinned to. A session is a start of all processes; what differs
between two starts of one program is part of the noise.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
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
from optkit.measure.latency import measure_latency
from optkit.measure.latency_report import Feed, Subject
from optkit.measure.rounds import Rounds
from optkit.measure.statistics import wilson_interval
from optkit.measure.worker_process import cpus_for, start_worker
from optkit.measure.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from optkit.measure.latency_report import Speedup
    from optkit.measure.rounds import Turn

RECORDED = RESULTS / "loaded-machine.npz"
BASELINE, SAME, SLOWER = NAMES = ("model", "same", "slower")
LAYERS = {BASELINE: 10, SAME: 10, SLOWER: 11}
WIDTH, BATCH, THREADS = 256, 32, 2
GATE = Gate(min_speedup=0.95)
DEFAULTS = MeasureSpec()
BLOCK = 50
"""Rounds, on average, that a resampled run takes from the recording in one piece: seconds."""
_MOST_ROUNDS = 2000


def record(sessions: int, seconds: float) -> None:
    """Writes the median and the length of every turn of several sessions."""
    recorded: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder, busy_loop():
        for session in range(sessions):
            for name, turns in _session(Path(folder) / str(session), seconds).items():
                recorded[f"{name}{session}"] = np.array(turns, np.uint32)
            print(f"session {session}: {len(turns) // 2} rounds")
    np.savez_compressed(RECORDED, **recorded)


def simulate(candidate: str, runs: int, seconds: float) -> list[Speedup]:
    """Returns the results of `runs` measurements resampled from the recording."""
    random = np.random.default_rng(0)
    with np.load(RECORDED) as recorded:
        sessions = [
            {name: recorded[f"{name}{at}"] for name in NAMES} for at in range(len(recorded.files) // len(NAMES))
        ]
    return [_simulated(sessions[random.integers(len(sessions))], candidate, seconds, random) for _ in range(runs)]


def really_run(candidate: str, runs: int, seconds: float) -> list[Speedup]:
    """Returns the results of `runs` measurements, each with processes of its own."""
    with tempfile.TemporaryDirectory() as folder, busy_loop():
        baseline, other = (_subject(name, Path(folder)) for name in (BASELINE, candidate))
        return [_measured(baseline, other, seconds) for _ in range(runs)]


def shares(results: Sequence[Speedup]) -> dict[str, list[float]]:
    """Returns outcome → its share of the results and the 95 % interval of that."""
    counts = Counter[str](_status(result) for result in results)
    counts["bounds exclude 1"] = sum(not result.interval[0] <= 1 <= result.interval[1] for result in results)
    total = len(results)
    return {
        outcome: [counts[outcome] / total, *wilson_interval(counts[outcome], total)]
        for outcome in (*Status, "bounds exclude 1")
    }


@contextmanager
def busy_loop() -> Iterator[None]:
    """Keeps the first of the CPUs that subjects are pinned to busy."""
    loop = f"import os\nos.sched_setaffinity(0, [{cpus_for(THREADS)[0]}])\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-c", loop]) as process:
        try:
            yield
        finally:
            process.kill()


def _status(result: Speedup) -> Status:
    (verdict,) = judge("latency", GATE, {"min_speedup": Estimate(result.ratio, *result.interval)})
    return verdict.status


def _session(folder: Path, seconds: float) -> dict[str, list[tuple[int, int]]]:
    """Returns subject → median and length of each turn, in nanoseconds, from processes of their own."""
    turns: dict[str, list[tuple[int, int]]] = {name: [] for name in NAMES}
    with ExitStack() as stack:
        workers = Workers()
        for name in NAMES:
            workers.open(stack.enter_context(start_worker(_subject(name, folder))), cpus_for(THREADS))
        np.save(folder / "x.npy", _feed().inputs["x"])
        taken = workers.turns({"x": str(folder / "x.npy")})
        rounds = Rounds({name: _noting(taken[name], turns[name]) for name in NAMES}, precision=0.0)
        for _ in rounds.run(seconds):
            pass
    return turns


def _noting(turn: Turn, notes: list[tuple[int, int]]) -> Turn:
    def noted() -> Sequence[int]:
        started = time.perf_counter_ns()
        samples = turn()
        notes.append((int(np.median(samples)), time.perf_counter_ns() - started))
        return samples

    return noted


def _simulated(
    session: Mapping[str, NDArray[Any]], candidate: str, seconds: float, random: np.random.Generator
) -> Speedup:
    """Returns the result of rounds drawn from a session by the stationary bootstrap, in pieces of BLOCK on average.

    Pieces keep what neighbouring rounds have in common. Source: D. N. Politis and J. P. Romano, The stationary
    bootstrap, JASA 89 (1994), 1303-1313.
    """
    now = 0.0
    count = len(session[BASELINE]) // 2
    drawn = _drawn_rounds(count, random)

    def turn_of(name: str) -> Turn:
        turns = (turn for at in drawn for turn in session[name][2 * at : 2 * at + 2])

        def turn() -> list[int]:
            nonlocal now
            median, length = next(turns)
            now += length / 1e9
            return [int(median)]

        return turn

    rounds = Rounds({name: turn_of(name) for name in (BASELINE, candidate)}, DEFAULTS.precision, lambda: now)
    for _ in rounds.run(seconds):
        pass
    return rounds.result(BATCH).speedups[candidate]


def _drawn_rounds(count: int, random: np.random.Generator) -> list[int]:
    """Returns round numbers, more than a run can use."""
    drawn: list[int] = []
    while len(drawn) < _MOST_ROUNDS:
        start = random.integers(count)
        drawn.extend((start + np.arange(random.geometric(1 / BLOCK))) % count)
    return drawn


def _measured(baseline: Subject, candidate: Subject, seconds: float) -> Speedup:
    measurement = measure_latency(baseline, [candidate], [_feed()], seconds, DEFAULTS.precision)
    while True:
        try:
            next(measurement)
        except StopIteration as stop:
            return stop.value.feeds[0].speedups[candidate.name]  # type: ignore[no-any-return]  # typed by the generator


def _feed() -> Feed:
    return Feed(BATCH, {"x": np.random.default_rng(1).standard_normal((BATCH, WIDTH), np.float32)})


def _subject(name: str, folder: Path) -> Subject:
    """Writes a stack of equal layers, MatMul and Relu, and returns it as something to time."""
    nodes, weights, into = [], [], "x"
    for layer in range(LAYERS[name]):
        out = "y" if layer == LAYERS[name] - 1 else f"relu{layer}"
        weight = np.random.default_rng(layer).standard_normal((WIDTH, WIDTH), np.float32) / WIDTH**0.5
        weights.append(numpy_helper.from_array(weight.astype(np.float32), f"weight{layer}"))
        nodes += [
            helper.make_node("MatMul", [into, f"weight{layer}"], [f"product{layer}"]),
            helper.make_node("Relu", [f"product{layer}"], [out]),
        ]
        into = out
    ends = [helper.make_tensor_value_info(end, TensorProto.FLOAT, ["batch", WIDTH]) for end in "xy"]
    graph = helper.make_graph(nodes, name, ends[:1], ends[1:], weights)
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])
    (folder / name).mkdir(parents=True)
    onnx.save(model, folder / name / "model.onnx")
    x, y = (Tensor(end, "float32", ("batch", WIDTH)) for end in "xy")
    interfaces.write(folder / name, Interface((x,), (y,), {"batch": Dim(BATCH, BATCH, BATCH)}))
    return Subject(name, "onnxruntime", folder / name, THREADS)
