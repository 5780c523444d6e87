"""Starts a pass in a child process and tells what became of it."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

from optkit.core.errors import ACROSS_PROCESSES, OptkitError, StepFailed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from optkit.core.passes import Pass

_LOG_TAIL = 15
_FULL = 1 << 16  # bytes free on a disk that is as good as full


def run_pass(
    do: Pass, inputs: Mapping[str, Path], folder: Path, scratch: Path, tools: Path
) -> Iterator[tuple[float, str]]:
    """Runs `do` in a child process, yielding its progress; `result_of` then reads what it left.

    Args:
        do: The pass.
        inputs: Role → artifact folder.
        folder: A fresh folder; afterwards it holds `out/`, `log.txt` and `result.json`.
        scratch: Kept across kills.
        tools: Kept for good.

    Yields:
        Fraction done and what is being done.

    Raises:
        OptkitError: What the pass raised, or StepFailed if its process died.
    """
    (folder / "out").mkdir()
    job = {  # only our own child reads it
        "pass": pickle.dumps(do).hex(),
        "inputs": {role: str(path) for role, path in inputs.items()},
        "out": str(folder / "out"),
        "scratch": str(scratch),
        "tools": str(tools),
    }
    (folder / "job.json").write_text(json.dumps(job))
    process, progress = _start(folder, fixed_addresses=do.fixed_addresses)
    # A process that the child forked may hold the pipe open longer than the child lives: end it, or we wait for ever.
    watcher = threading.Thread(target=_kill_group_after, args=(process.pid,), daemon=True)
    watcher.start()
    try:
        with os.fdopen(progress) as lines:
            for line in lines:
                if line.endswith("\n"):  # the last one may be torn
                    yield tuple(json.loads(line))
        watcher.join()
    finally:
        _kill_group(process.pid)
        watcher.join()
        process.wait()
    if not (folder / "result.json").exists():
        raise StepFailed(_death(process.returncode, folder), hint=log_tail(folder))


def result_of(folder: Path) -> dict[str, Any]:
    """Returns the record that a finished pass left.

    Raises:
        OptkitError: What the pass raised.
    """
    result = json.loads((folder / "result.json").read_text())
    if "error" not in result:
        record: dict[str, Any] = result["record"]
        return record
    raise _raised(result)


def log_tail(folder: Path) -> str:
    """Returns the last lines that a pass printed."""
    lines = (folder / "log.txt").read_text(errors="replace").splitlines()
    return "\n".join(lines[-_LOG_TAIL:])


def _start(folder: Path, *, fixed_addresses: bool) -> tuple[subprocess.Popen[bytes], int]:
    read, write = os.pipe()
    # -P: the folder we start in must not shadow modules. No bytecode: objects in the store hold only what was hashed.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0", "TMPDIR": str(folder)}
    modules = ["optkit.core.addresses"] * fixed_addresses + ["optkit.core.child"]
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", *modules, str(folder), str(write), str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder,
            env=environment,
            pass_fds=[write],
            process_group=0,
        )
    os.close(write)
    return process, read


def _kill_group(leader: int) -> None:
    """Ends the child and whatever it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def _kill_group_after(leader: int) -> None:
    """Waits until the child has ended, without reaping it: its id must not be given to another process yet."""
    os.waitid(os.P_PID, leader, os.WEXITED | os.WNOWAIT)
    _kill_group(leader)


def _raised(result: Mapping[str, str]) -> OptkitError:
    return ACROSS_PROCESSES[result["error"]](result["message"], hint=result["hint"])


def _death(code: int, folder: Path) -> str:
    if shutil.disk_usage(folder).free < _FULL:  # then neither a result nor a traceback could be written
        return f"the disk of {folder.parents[1]} is full"
    if code == -signal.SIGKILL:
        return "its process was killed (out of memory, most likely)"
    if code < 0:
        return f"its process died of {signal.Signals(-code).name}"
    return f"its process ended with code {code}"
