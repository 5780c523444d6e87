"""A process that times one model, told what to do by JSON lines; started by `optkit.measure.worker_process`.

It imports the one runtime that it times and nothing else that is heavy, so that its memory and its threads are that
runtime's own. Requests are the public methods of `Worker`. A reply is {"value": …} or {"error": …}.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from optkit.core.errors import OptkitError, StepFailed
from optkit.core.lifetime import die_with_parent
from optkit.measure.thread_pinning import cpu_times, pin_busiest, spread

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from optkit.runtimes.session import Session

_SETTLED = 0.03
"""Warm when the median of the last runs is within this share of the median of those before."""
_WINDOW = 5
_WARM_UP_SECONDS = 3.0
_FEWEST_RUNS = 2


@dataclass(slots=True)
class Worker:
    """The model being timed and the inputs that it is timed on."""

    session: Session = field(init=False)
    inputs: dict[str, Any] = field(init=False)
    cpus: Sequence[int] = ()

    def open(self, runtime: str, folder: str, threads: int, cpus: Sequence[int]) -> float:
        """Pins the process, opens the model and returns the seconds that took, the runtime's import included."""
        self.cpus = cpus
        if cpus:
            os.sched_setaffinity(0, cpus)
        started = time.perf_counter()
        from optkit.runtimes.table import runtime_named

        self.session = runtime_named(runtime).open(Path(folder), threads)
        return time.perf_counter() - started

    def feed(self, files: Mapping[str, str]) -> None:
        """Reads the inputs: name → npy file."""
        import numpy as np

        self.inputs = {name: np.load(file, allow_pickle=False) for name, file in files.items()}

    def measure(self, count: int) -> list[int]:
        """Returns the nanoseconds of `count` runs."""
        run, inputs, clock = self.session.run, self.inputs, time.perf_counter_ns
        samples = []
        gc.disable()
        for _ in range(count):
            started = clock()
            run(inputs)
            samples.append(clock() - started)
        gc.enable()
        return samples

    def measure_for(self, seconds: float) -> dict[str, Any]:
        """Runs for a while, twice at least; returns the nanoseconds of each run, and the seconds that all took."""
        samples: list[int] = []
        started = time.perf_counter()
        while (elapsed := time.perf_counter() - started) < seconds or len(samples) < _FEWEST_RUNS:
            samples += self.measure(1)
        return {"samples": samples, "seconds": elapsed}

    def warm_up(self) -> dict[str, float]:
        """Runs until times settle, then pins each thread; returns the seconds of the first and of the fastest run."""
        spread(self.cpus)
        before = cpu_times()
        first, recent = self.measure(1)[0], self.measure(1)
        deadline = time.perf_counter() + _WARM_UP_SECONDS
        while time.perf_counter() < deadline and not _settled(recent):
            recent += self.measure(1)
        pin_busiest(self.cpus, before)
        return {"first_s": first / 1e9, "settled_s": min(recent) / 1e9}

    def peak_rss(self) -> int:
        """Returns the largest resident memory of this process so far, in bytes."""
        # Not getrusage: its maximum survives exec, so that it would count the memory of the process that started this.
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024

    def profile(self, runtime: str, folder: str, threads: int) -> dict[str, Any]:
        """Opens the model anew, in place of the one that was timed, and returns where its time goes."""
        from optkit.measure import profile
        from optkit.runtimes.table import runtime_named

        open_profiled = runtime_named(runtime).open_profiled
        if open_profiled is None:
            raise StepFailed(f"the runtime {runtime} does not tell the times of operators")
        spread(self.cpus)
        del self.session  # two of a large model may not fit
        return asdict(profile.summary(profile.record(open_profiled(Path(folder), threads), self.inputs)))


def serve(requests: TextIO, replies: TextIO) -> None:
    """Answers requests, one JSON object a line, until there are no more."""
    worker = Worker()
    for line in requests:
        request = json.loads(line)
        method: Callable[..., object] = getattr(worker, request.pop("do"))
        try:
            reply: dict[str, object] = {"value": method(**request)}
        except OptkitError as error:
            reply = {"error": {"kind": type(error).__name__, "message": error.message, "hint": error.hint}}
        print(json.dumps(reply), file=replies, flush=True)


def main() -> None:
    """Serves on stdin and stdout; what a model prints goes to stderr instead, so that it cannot garble replies."""
    die_with_parent(int(sys.argv[1]))
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    serve(sys.stdin, replies)


def _settled(samples: Sequence[int]) -> bool:
    if len(samples) < 2 * _WINDOW:
        return False
    before, now = _median(samples[-2 * _WINDOW : -_WINDOW]), _median(samples[-_WINDOW:])
    return abs(now - before) <= _SETTLED * before


def _median(samples: Sequence[int]) -> int:
    return sorted(samples)[len(samples) // 2]


if __name__ == "__main__":
    main()
