"""Locks and workspaces: gone with their owner, untouched while it lives."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from optkit.core import locks
from optkit.core.locks import Workspace, hold, sweep, taken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
OWN_A_WORKSPACE = """
import sys
from pathlib import Path
from optkit.core.locks import Workspace
with Workspace(Path(sys.argv[1])) as folder:
    (folder / "half").write_text("half a build")
    print(folder, flush=True)
    sys.stdin.read()
"""
HOLD_A_LOCK = """
import sys
from pathlib import Path
from optkit.core.locks import hold
with hold(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def other_process(code: str, argument: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Runs code until its standard input ends; yields the process and the first line that it printed."""
    with subprocess.Popen(
        [sys.executable, "-c", code, str(argument)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def test_a_workspace_is_removed_at_its_end(tmp_path: Path) -> None:
    with Workspace(tmp_path) as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "file").write_text("x")
        assert folder.parent == tmp_path
    assert list(tmp_path.iterdir()) == []


def test_a_workspace_is_removed_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), Workspace(tmp_path):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_two_workspaces_of_one_process_are_apart(tmp_path: Path) -> None:
    with Workspace(tmp_path) as one, Workspace(tmp_path) as two:
        assert one != two
        sweep(tmp_path)
        assert one.is_dir()
        assert two.is_dir()


def test_a_live_workspace_is_not_swept(tmp_path: Path) -> None:
    with other_process(OWN_A_WORKSPACE, tmp_path) as (_, folder):
        sweep(tmp_path)
        assert (Path(folder) / "half").exists()


def test_what_a_killed_owner_left_is_swept(tmp_path: Path) -> None:
    with other_process(OWN_A_WORKSPACE, tmp_path) as (process, folder):
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert (Path(folder) / "half").exists()
        sweep(tmp_path)
        assert list(tmp_path.iterdir()) == []


def test_sweeping_nothing_is_fine(tmp_path: Path) -> None:
    sweep(tmp_path)
    (tmp_path / "orphan.lock").write_text("")
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_workspace_whose_lock_file_a_sweeper_took_makes_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    real: Callable[[int], bool] = getattr(locks, "_try_lock")  # noqa: B009  # the moment before it is not reachable

    def sweeping(descriptor: int) -> bool:
        calls.append(descriptor)
        if len(calls) == 1:
            for lock in tmp_path.glob("*.lock"):
                lock.unlink()
        return real(descriptor)

    monkeypatch.setattr(locks, "_try_lock", sweeping)
    with Workspace(tmp_path) as folder:
        monkeypatch.undo()
        sweep(tmp_path)
        assert folder.is_dir()
    assert len(calls) == 2


def test_a_lock_is_taken_while_it_is_held(tmp_path: Path) -> None:
    lock = tmp_path / "key"
    assert not taken(lock)
    with hold(lock):
        assert taken(lock)
    assert not taken(lock)


def test_a_lock_excludes_another_process_until_that_is_killed(tmp_path: Path) -> None:
    lock = tmp_path / "key"
    with other_process(HOLD_A_LOCK, lock) as (process, line):
        assert line == "held"
        assert taken(lock)
        process.send_signal(signal.SIGKILL)
        with hold(lock):  # waits for the kernel to let go
            assert taken(lock)


def test_locks_leave_no_open_files(tmp_path: Path, open_files: Callable[[], int]) -> None:
    before = open_files()  # a Path would stat each
    for _ in range(5):
        with hold(tmp_path / "key"), Workspace(tmp_path):
            taken(tmp_path / "key")
        sweep(tmp_path)
    assert open_files() == before  # likewise
