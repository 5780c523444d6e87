"""Locks and temporary folders that survive a kill of their owner: the kernel lets go of both."""

from __future__ import annotations

import fcntl
import os
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING

from optkit.core.copying import remove_tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType


@contextmanager
def hold(path: Path) -> Iterator[None]:
    """Holds an exclusive lock on `path`, waiting for it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def taken(path: Path) -> bool:
    """Whether somebody holds the lock on `path` at this moment."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        return not _try_lock(descriptor)
    finally:
        os.close(descriptor)


class Workspace:
    """A fresh folder under `parent`, with a lock beside it that tells a sweeper that its owner lives."""

    def __init__(self, parent: Path) -> None:
        self.folder = parent / f"{os.getpid()}-{secrets.token_hex(6)}"
        self._lock = self.folder.with_suffix(".lock")
        self._descriptor = -1

    def __enter__(self) -> Path:
        while not self._own_lock():
            os.close(self._descriptor)  # a sweeper took the file between our open and our lock
        self.folder.mkdir()
        return self.folder

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        remove_tree(self.folder)
        self._lock.unlink(missing_ok=True)
        os.close(self._descriptor)

    def _own_lock(self) -> bool:
        self._descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        return _try_lock(self._descriptor) and os.fstat(self._descriptor).st_nlink == 1


def sweep(parent: Path) -> None:
    """Removes each workspace under `parent` whose owner is gone."""
    for lock in parent.glob("*.lock"):
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            if _try_lock(descriptor):
                remove_tree(lock.with_suffix(""))
                lock.unlink(missing_ok=True)
        finally:
            os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
