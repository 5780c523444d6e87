"""Small passes that really run in a child process, and misbehave in every way that real ones do."""

# ruff: noqa: ARG002, T201  # every way to misbehave is called with the same arguments; prints are one of them
from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from optkit.core.errors import MissingDependency, Problem, RecipeError, StepFailed, UsageError
from optkit.core.passes import Pass, Work

if TYPE_CHECKING:
    from collections.abc import Mapping

TEXT = "text.txt"


@dataclass(frozen=True)
class TextPass(Pass):
    """Turns a text into a text."""

    roles: ClassVar[Mapping[str, frozenset[str]]] = {"model": frozenset({"text"})}
    produces: ClassVar[str] = "text"

    def run(self, inputs: Mapping[str, Path], work: Work) -> None:
        text = (inputs["model"] / TEXT).read_text()
        (work.out / TEXT).write_text(self.changed(text, work))

    def changed(self, text: str, work: Work) -> str:
        raise NotImplementedError


@dataclass(frozen=True)
class Append(TextPass):
    """Appends `suffix`, cut to `limit` letters, in `seconds`; `log` gets a line for each run."""

    suffix: str = "!"
    limit: int = 100
    log: str = ""
    seconds: float = 0.0

    def changed(self, text: str, work: Work) -> str:
        if self.log:
            with Path(self.log).open("a") as log:
                log.write("ran\n")
        time.sleep(self.seconds)
        work.progress(0.5, "half")
        work.notes["letters"] = len(text)
        return text + self.suffix[: self.limit]


@dataclass(frozen=True)
class Upper(TextPass):
    """Turns letters to upper case."""

    def changed(self, text: str, work: Work) -> str:
        return text.upper()


@dataclass(frozen=True)
class Clock(TextPass):
    """Gives other bytes each time: not deterministic."""

    def changed(self, text: str, work: Work) -> str:
        return f"{text}{time.perf_counter_ns()}"


@dataclass(frozen=True)
class Resume(TextPass):
    """Fails at first, leaving progress in the scratch folder, and succeeds when it finds that."""

    def changed(self, text: str, work: Work) -> str:
        checkpoint = work.scratch / "checkpoint"
        if not checkpoint.exists():
            checkpoint.write_text("half way")
            raise StepFailed("stopped half way")
        return f"{text} resumed from {checkpoint.read_text()}"


@dataclass(frozen=True)
class Sleep(TextPass):
    """Writes its process id into `pid_file` and sleeps, then answers."""

    pid_file: str
    seconds: float = 60.0

    def changed(self, text: str, work: Work) -> str:
        draft = Path(f"{self.pid_file}.part")
        draft.write_text(str(os.getpid()))
        draft.replace(self.pid_file)
        work.progress(0.0, "asleep")
        time.sleep(self.seconds)
        return text


How = Literal[
    "raise", "raise-empty", "usage", "recipe", "missing", "step", "memory", "real-memory", "no-space", "exit", "abort",
    "segv", "kill", "sys-exit", "print", "fork", "spawn", "tmp", "close-pipe", "bad-notes",
]  # fmt: skip


@dataclass(frozen=True)
class Misbehave(TextPass):
    """Does what `how` says; `pid_file` gets the id of a process that it leaves running."""

    how: How = "raise"
    pid_file: str = ""

    def changed(self, text: str, work: Work) -> str:
        getattr(self, f"_{self.how.replace('-', '_')}")(work)
        return text

    def _raise(self, work: Work) -> None:
        raise ValueError("bad weights\nsecond line")

    def _raise_empty(self, work: Work) -> None:
        raise ValueError

    def _usage(self, work: Work) -> None:
        raise UsageError("the factory takes no argument 'x'", hint="remove it")

    def _recipe(self, work: Work) -> None:
        raise RecipeError([Problem("dataset.yaml", 2, 3, "splits", "is missing")])

    def _missing(self, work: Work) -> None:
        raise MissingDependency("pillow is absent", hint="pip install 'optkit[images]'")

    def _step(self, work: Work) -> None:
        raise StepFailed("parity is lost", hint="lower the opset")

    def _memory(self, work: Work) -> None:
        raise MemoryError

    def _real_memory(self, work: Work) -> None:
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
        bytearray(1 << 34)

    def _no_space(self, work: Work) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        (work.out / "large.bin").write_bytes(bytes(8192))

    def _exit(self, work: Work) -> None:
        os._exit(7)

    def _abort(self, work: Work) -> None:
        os.abort()

    def _segv(self, work: Work) -> None:
        print("about to crash", flush=True)  # the log must hold it
        os.kill(os.getpid(), signal.SIGSEGV)

    def _kill(self, work: Work) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def _sys_exit(self, work: Work) -> None:
        sys.exit(0)

    def _print(self, work: Work) -> None:
        print("noise on stdout")  # must not reach the parent's stdout
        print("noise on stderr", file=sys.stderr)  # likewise
        subprocess.run(["/bin/echo", "noise of a tool"], check=True)  # likewise

    def _fork(self, work: Work) -> None:
        child = os.fork()  # it keeps every descriptor open, the progress pipe too
        if child == 0:
            time.sleep(60)
            Path(self.pid_file).write_text("survived")
            os._exit(0)
        Path(self.pid_file).write_text(str(child))

    def _spawn(self, work: Work) -> None:
        process = subprocess.Popen(["/bin/sleep", "60"])  # any long-running program will do
        Path(self.pid_file).write_text(str(process.pid))
        process.returncode = 0  # no warning that it still runs: leaving it is the point

    def _tmp(self, work: Work) -> None:
        import tempfile

        work.notes["tmp"] = tempfile.gettempdir()

    def _close_pipe(self, work: Work) -> None:
        os.close(int(sys.argv[2]))
        time.sleep(0.3)

    def _bad_notes(self, work: Work) -> None:
        work.notes["object"] = object()
