from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from optkit.core.store import Action, Store
from optkit.workflow.caching import collect, entries

if TYPE_CHECKING:
    from pathlib import Path

DAY = 86_400


def add(store: Store, key: str, content: str, age_days: float = 0.0) -> str:
    with store.workspace() as folder:
        (folder / "tree").mkdir()
        (folder / "tree" / "file").write_text(content)
        artifact = store.put("onnx", folder / "tree")
    store.commit(key, Action(artifact, f"step-{key}", {"pass": "p"}, {}))
    then = time.time() - age_days * DAY
    os.utime(store.action_path(key), (then, then))
    return artifact.digest


def test_entries_are_listed_newest_first_with_their_size(tmp_path: Path) -> None:
    store = Store(tmp_path)
    add(store, "a" * 64, "old", age_days=3)
    add(store, "b" * 64, "newer")
    found = entries(tmp_path)
    assert [entry.step for entry in found] == ["step-" + "b" * 64, "step-" + "a" * 64]
    assert [entry.bytes for entry in found] == [5, 3]


def test_old_steps_and_what_only_they_made_are_removed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    old = add(store, "a" * 64, "old", age_days=40)
    new = add(store, "b" * 64, "new")
    freed = collect(tmp_path, older_than_days=30)
    assert (freed.actions, freed.objects, freed.bytes) == (1, 1, 3)
    assert not store.object_path(old).exists()
    assert store.object_path(new).exists()
    assert store.find("b" * 64) is not None


def test_an_object_that_a_young_step_made_too_stays(tmp_path: Path) -> None:
    store = Store(tmp_path)
    digest = add(store, "a" * 64, "same", age_days=40)
    add(store, "b" * 64, "same")
    assert collect(tmp_path, older_than_days=30).objects == 0
    assert store.object_path(digest).exists()


def test_what_no_step_made_is_removed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.workspace() as folder:
        (folder / "tree").mkdir()
        (folder / "tree" / "file").write_text("source")
        artifact = store.put("torch", folder / "tree")
    assert collect(tmp_path, older_than_days=30).objects == 1
    assert not store.has(artifact)


def test_scratch_of_steps_given_up_long_ago_is_removed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    kept, gone = store.scratch("k" * 64), store.scratch("g" * 64)
    then = time.time() - 40 * DAY
    os.utime(gone, (then, then))
    collect(tmp_path, older_than_days=30)
    assert kept.exists()
    assert not gone.exists()
