"""What the store holds, and how to make it smaller."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from optkit.core import locks
from optkit.core.copying import remove_tree
from optkit.core.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Entry:
    """One cached step."""

    step: str
    kind: str
    digest: str
    key: str
    bytes: int
    age_days: float


@dataclass(frozen=True, slots=True)
class Freed:
    """What a clean-up removed."""

    objects: int
    actions: int
    bytes: int


def entries(root: Path) -> list[Entry]:
    """Returns every cached step, the newest first."""
    return list(_entries(Store(root)))


def collect(root: Path, older_than_days: float) -> Freed:
    """Forgets steps older than that, then removes every object that no remembered step made.

    Sources that were copied in count as such: they come back when a step needs them. Another process that is
    working in the store right now is waited for, step by step.
    """
    store = Store(root)
    store.sweep()
    old = [entry for entry in _entries(store) if entry.age_days > older_than_days]
    for entry in old:
        with store.lock(entry.key):
            store.forget(entry.key)
    kept = {entry.digest for entry in _entries(store)}
    gone = [path for path in (root / "objects").glob("*/*") if path.name not in kept]
    size = sum(map(_size, gone))
    for path in gone:
        _remove(path, root)
    for path in (root / "scratch").iterdir():
        if _age_days(path) > older_than_days:
            remove_tree(path)
    return Freed(len(gone), len(old), size)


def _entries(store: Store) -> Iterator[Entry]:
    for key, action in store.actions():
        path = store.object_path(action.artifact.digest)
        age = _age_days(store.action_path(key))
        yield Entry(action.step, action.artifact.kind, action.artifact.digest, key, _size(path), age)


def _remove(path: Path, root: Path) -> None:
    """Renames first, so that nobody ever sees half an object."""
    with locks.Workspace(root / "tmp") as folder:
        path.rename(folder / path.name)


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def _age_days(path: Path) -> float:
    return (time.time() - path.stat().st_mtime) / _DAY
