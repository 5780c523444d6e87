"""The parent's side of a latency worker: start it, ask it, and say clearly how it died."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import sysconfig
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import optkit
from optkit.core.errors import ACROSS_PROCESSES, StepFailed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from optkit.measure.latency_report import Subject

SILENCE = 900
"""Seconds without an answer after which a worker is given up: models that never end exist."""


@dataclass(frozen=True, slots=True)
class WorkerProcess:
    """A running worker."""

    subject: Subject
    process: subprocess.Popen[str]
    log: IO[bytes]

    @property
    def model(self) -> dict[str, object]:
        """What the worker opens."""
        subject = self.subject
        return {"runtime": subject.runtime, "folder": str(subject.folder.resolve()), "threads": subject.threads}

    def open(self, cpus: Sequence[int]) -> float:
        """Pins the worker to `cpus`, unless there are none, lets it load the model and returns the seconds it took."""
        return float(self.ask("open", **self.model, cpus=cpus))

    def ask(self, do: str, **arguments: object) -> Any:  # noqa: ANN401  # JSON
        """Returns the worker's answer.

        Raises:
            StepFailed: The worker died; the message names the subject and how.
            UsageError, MissingDependency, StepFailed: As the worker raised it.
        """
        self.tell(do, **arguments)
        return self.answer()

    def tell(self, do: str, **arguments: object) -> None:
        """Lets the worker begin something, the answer to which is waiting to be read.

        Raises:
            StepFailed: The worker died.
        """
        requests = cast("IO[str]", self.process.stdin)
        try:
            requests.write(json.dumps({"do": do, **arguments}) + "\n")
            requests.flush()
        except BrokenPipeError:
            raise self._died() from None

    def answer(self) -> Any:  # noqa: ANN401  # JSON
        """Returns the answer to what the worker was told last; raises what `ask` does."""
        replies = cast("IO[str]", self.process.stdout)
        # Answers are whole lines, one at a time, so that nothing waits in the buffer of `replies`.
        if not select.select([replies], [], [], SILENCE)[0]:
            raise StepFailed(f"the process that times '{self.subject.name}' said nothing for {SILENCE // 60} minutes")
        line = replies.readline()
        if not line:
            raise self._died()
        reply = json.loads(line)
        if "error" in reply:
            raise self._raised(reply["error"])
        return reply["value"]

    def _raised(self, error: Mapping[str, str]) -> Exception:
        kind = ACROSS_PROCESSES.get(error["kind"], StepFailed)
        return kind(f"timing '{self.subject.name}': {error['message']}", hint=error["hint"])

    def _died(self) -> StepFailed:
        code = self.process.wait()
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
        self.log.seek(0)
        lines = self.log.read().decode(errors="replace").strip().splitlines()
        hint = "out of memory?" if code == -signal.SIGKILL else ""
        said = f": {lines[-1]}" if lines else ""
        return StepFailed(f"the process that timed '{self.subject.name}' {how}{said}", hint=hint)


@contextmanager
def start_worker(subject: Subject) -> Iterator[WorkerProcess]:
    """Starts a worker for `subject`; it ends with the block, or when this process dies."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "optkit.measure.latency_worker", str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=_environment(subject.threads),
            start_new_session=True,  # an interrupt goes to the parent, which ends its workers
        )
        try:
            yield WorkerProcess(subject, process, log)
        finally:
            process.kill()
            process.communicate()


def together(workers: Sequence[WorkerProcess], do: str, **arguments: object) -> list[Any]:
    """Lets all workers do something at the same time and returns their answers.

    Raises:
        OptkitError: As `WorkerProcess.ask`, for the first that fails; none of them can be asked again.
    """
    for worker in workers:
        worker.tell(do, **arguments)
    return [worker.answer() for worker in workers]


def cpus_for(threads: int, instance: int = 0) -> list[int]:
    """Returns CPUs to pin `threads` to, of different cores first; none if this process may not use that many.

    Args:
        threads: How many.
        instance: Of several that run at the same time, each on CPUs of its own.
    """
    allowed = sorted(os.sched_getaffinity(0))
    if threads * (instance + 1) > len(allowed):
        return []
    order = sorted(allowed, key=lambda cpu: (_position_in_core(cpu), cpu))
    return sorted(order[threads * instance : threads * (instance + 1)])


def _position_in_core(cpu: int) -> int:
    siblings = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
    if not siblings.exists():
        return 0
    first, *_ = siblings.read_text().replace("-", ",").split(",")
    return int(cpu != int(first))


def _environment(threads: int) -> dict[str, str]:
    # Thread pools that a library makes while it is imported take their size from here.
    pools = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    root = str(Path(optkit.__file__).parent.parent)
    # Installed, optkit is found anyway, and site-packages must not come before the standard library.
    roots = [] if root == sysconfig.get_path("purelib") else [root]
    paths = [*roots, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, **pools, "PYTHONPATH": os.pathsep.join(paths)}
