"""Starts the real `optkit` in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

PROGRAM = Path(sys.executable).with_name("optkit")
_INHERITED = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "LANG")


@dataclass(frozen=True)
class Done:
    """What a command printed before it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401  # whatever the command prints
        """The one JSON value on stdout."""
        return json.loads(self.out)

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events of `--json`, one a line."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def cached(self) -> dict[str, bool]:
        """Step → whether it was found in the store, from the events of `--json`."""
        return {event["step"]: event["cached"] for event in self.events if event["event"] == "step-finished"}

    @property
    def digests(self) -> dict[str, str]:
        """Step → digest of its artifact, from the events of `--json`."""
        return {event["step"]: event["digest"] for event in self.events if event["event"] == "step-finished"}


@dataclass(frozen=True)
class Optkit:
    """The program, its home and its store.

    Attributes:
        home: Stands for the user's home folder.
        store: Where artifacts are kept.
        variables: Further environment variables.
        before: Runs in the new process before the program does.
    """

    home: Path
    store: Path
    variables: tuple[tuple[str, str], ...] = ()
    before: Callable[[], None] | None = None

    def __call__(self, *arguments: str | Path, code: int = 0, cwd: Path | None = None) -> Done:
        """Runs a command to its end; it must exit with `code`, and never with a traceback."""
        ended = subprocess.run(
            [str(PROGRAM), *map(str, arguments)],
            capture_output=True,
            check=False,
            cwd=cwd,
            env=self.environment,
            preexec_fn=self.before,
            text=True,
        )
        done = Done(ended.returncode, ended.stdout, ended.stderr)
        assert done.code == code, f"exit {done.code}, not {code}\n{done.out}\n{done.err}"
        assert "Traceback" not in done.out + done.err
        return done

    def start(self, *arguments: str | Path) -> subprocess.Popen[str]:
        """Starts a command in a process group of its own, which is what a terminal interrupts.

        A shell that runs the tests in the background ignores interrupts, and the program would inherit that.
        """
        command = [str(PROGRAM), *map(str, arguments)]
        return subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment,
            preexec_fn=_take_interrupts,  # noqa: PLW1509  # no thread of these tests holds a lock then
            process_group=0,
        )

    def given(self, **variables: str) -> Optkit:
        """Returns the same program with further environment variables."""
        return replace(self, variables=(*self.variables, *variables.items()))

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables of the program: nothing of the machine's but what it needs to run."""
        inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        own = {"HOME": str(self.home), "OPTKIT_STORE": str(self.store)}
        return {**inherited, **own, **dict(self.variables)}


def _take_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
