"""A full disk: a clear error with exit code 5, nothing half visible, and all well once there is space."""

from __future__ import annotations

import errno
import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from optkit.core.errors import StepFailed
from optkit.core.events import StepFinished
from optkit.core.recipe import Step
from optkit.core.runner import Execution
from optkit.core.sources import Source
from optkit.core.store import Action, Store
from tests.core.sample_passes import Append

ROOT = Path(__file__).parents[2]
STEP = Step("append", Append("!"), {"model": "model"})
Executions = Callable[..., Execution]


def no_space(*_arguments: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def failing(monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    """Makes a call of the system fail as it does on a full disk."""
    target = {"fsync": os, "mkdir": Path, "rename": Path, "replace": Path}[call]
    monkeypatch.setattr(target, call, no_space)


def assert_nothing_half(store: Store) -> None:
    """Whatever is visible is whole."""
    assert list(store.actions()) == []
    for path in (store.root / "objects").glob("*/*"):
        assert [file.name for file in path.iterdir()] == ["text.txt"]


@pytest.mark.parametrize("call", ["fsync", "mkdir", "rename", "replace"])
def test_a_disk_that_is_full_while_committing_fails_the_step(
    execution: Executions, store: Store, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    walk = execution()
    with monkeypatch.context() as broken:
        failing(broken, call)
        with pytest.raises(StepFailed) as caught:
            list(walk.execute(STEP))
    assert caught.value.exit_code == 5
    assert str(store.root) in str(caught.value)
    assert "could not be written: No space left on device (" in str(caught.value)
    assert "free some space (`optkit cache gc`) or give --store DIR" in caught.value.hint
    assert_nothing_half(store)
    assert list((store.root / "tmp").glob("*/*")) == []
    (*_, finished) = execution().execute(STEP)
    assert isinstance(finished, StepFinished)
    assert not finished.cached


def test_a_commit_that_fails_leaves_the_earlier_action(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with store.workspace() as folder:
        (folder / "out").mkdir()
        (folder / "out" / "text.txt").write_text("x")
        artifact = store.put("text", folder / "out")
    first = Action(artifact, "first", {}, {})
    store.commit("ab", first)
    with monkeypatch.context() as broken:
        failing(broken, "fsync")
        with pytest.raises(StepFailed):
            store.commit("ab", Action(artifact, "second", {}, {}))
    assert store.find("ab") == first


def test_a_source_that_does_not_fit_fails_with_a_clear_message(store: Store, tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    weights.write_bytes(bytes(1 << 20))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, hard))  # a real failure of a real write
    try:
        with pytest.raises(StepFailed, match="could not be written: File too large"):
            store.ingest(Source("torch", {"weights": weights}))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list((store.root / "objects").glob("*/*")) == []
    assert (store.ingest(Source("torch", {"weights": weights})) / "weights").stat().st_size == 1 << 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Returns a folder on a disk of its own of half a MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["/bin/mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting needs privileges")
    yield folder
    subprocess.run(["/bin/umount", str(folder)], check=True)  # as mount above


@pytest.mark.heavy
def test_a_disk_that_fills_at_any_moment_gives_an_error_and_no_harm(execution: Executions, small_disk: Path) -> None:
    failures: list[str] = []
    for free in range(0, 44, 4):
        store = Store(small_disk / "store")
        filler = small_disk / "filler"
        fill(filler, free << 10)
        failures.extend(error_of(execution(str(free), store)))
        filler.unlink()
        (*_, finished) = execution(str(free), store).execute(STEP)
        assert isinstance(finished, StepFinished)
        ((_, action),) = store.actions()
        assert (store.get(action.artifact) / "text.txt").exists()
        subprocess.run(["/bin/rm", "-rf", str(small_disk / "store")], check=True)  # objects are read-only
    assert len(failures) > 2
    assert all(re.search("No space left on device|the disk of .*store is full", text) for text in failures), failures


def error_of(walk: Execution) -> list[str]:
    """Runs the step; returns how it failed, if it did."""
    try:
        list(walk.execute(STEP))
    except StepFailed as error:
        return [str(error)]
    return []


def fill(file: Path, free: int) -> None:
    """Fills the disk of `file` until `free` bytes are left."""
    left = os.statvfs(file.parent)
    file.write_bytes(bytes(max(0, left.f_bavail * left.f_frsize - free)))


def test_a_walk_in_another_process_exits_5(tmp_path: Path) -> None:
    limited = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (2, 2));"
        "from tests.core.walk import main; from pathlib import Path;"
        "sys.exit(main(Path(sys.argv[1]), 'Append', '{}'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", limited, str(tmp_path / "store")],
        cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 5, done.stderr
    assert "could not be written: File too large" in done.stdout
    assert done.stderr == ""
