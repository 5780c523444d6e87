"""The store: whole objects or none, whatever happens in between."""

# ruff: noqa: E501  # whole lines, as a user sees them
from __future__ import annotations

import json
import os
import stat
from typing import TYPE_CHECKING

import pytest

from optkit.core.artifact import Artifact, digest_tree
from optkit.core.copying import copy_tree
from optkit.core.errors import StepFailed, UsageError
from optkit.core.sources import Source
from optkit.core.store import Action, DamagedObject, Store

if TYPE_CHECKING:
    from pathlib import Path

KEY = "ab" * 32


def tree(root: Path, **files: str) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (root / name).write_text(text)
    return root


def put(store: Store, **files: str) -> Artifact:
    with store.workspace() as folder:
        return store.put("text", tree(folder / "out", **files))


def action(artifact: Artifact) -> Action:
    return Action(artifact, "append", {"option suffix": "!"}, {"seconds": 1.5})


def objects(store: Store) -> list[Path]:
    return sorted((store.root / "objects").glob("*/*"))


def flip(path: Path) -> None:
    """Changes one bit of a read-only file, as a failing disk does: size and times stay."""
    times = path.stat()
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(data)
    path.chmod(0o444)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_what_is_put_can_be_got(store: Store) -> None:
    artifact = put(store, a="1", b="2")
    folder = store.get(artifact)
    assert (folder / "a").read_text() == "1"
    assert folder == store.object_path(artifact.digest)
    assert digest_tree(folder) == artifact.digest
    assert store.has(artifact)


def test_identical_trees_are_kept_once(store: Store) -> None:
    assert put(store, a="1") == put(store, a="1")
    assert len(objects(store)) == 1
    put(store, a="2")
    assert len(objects(store)) == 2


def test_nothing_is_left_under_tmp(store: Store) -> None:
    put(store, a="1")
    put(store, a="1")
    store.commit(KEY, action(put(store, a="1")))
    assert list((store.root / "tmp").iterdir()) == []


def test_objects_are_read_only(store: Store) -> None:
    folder = store.get(put(store, a="1"))
    assert stat.S_IMODE((folder / "a").stat().st_mode) == 0o444


def test_copies_are_writable_and_no_hard_links(store: Store, tmp_path: Path) -> None:
    artifact = put(store, a="1")
    copy_tree(store.get(artifact), tmp_path / "copy")
    copy = tmp_path / "copy" / "a"
    assert copy.stat().st_nlink == 1
    assert copy.stat().st_ino != (store.get(artifact) / "a").stat().st_ino
    copy.write_text("edited")
    assert (store.get(artifact) / "a").read_text() == "1"


def test_a_copied_tree_keeps_its_folders(tmp_path: Path) -> None:
    tree(tmp_path / "from" / "sub", a="1")
    (tmp_path / "from" / "empty").mkdir()
    copy_tree(tmp_path / "from", tmp_path / "to")
    assert (tmp_path / "to" / "sub" / "a").read_text() == "1"
    assert (tmp_path / "to" / "empty").is_dir()


def test_a_flipped_bit_is_detected_and_the_object_removed(store: Store) -> None:
    artifact = put(store, a="hello")
    flip(store.object_path(artifact.digest) / "a")
    assert store.has(artifact)  # a lookup is cheap: it does not read the bytes
    with pytest.raises(DamagedObject):
        store.get(artifact)
    assert not store.has(artifact)
    assert put(store, a="hello") == artifact
    assert store.get(artifact)


@pytest.mark.parametrize("damage", ["missing file", "extra file", "renamed file", "truncated file"])
def test_every_other_damage_is_detected(store: Store, damage: str) -> None:
    artifact = put(store, a="hello", b="x")
    folder = store.object_path(artifact.digest)
    (folder / "a").chmod(0o644)
    match damage:
        case "missing file":
            (folder / "a").unlink()
        case "extra file":
            (folder / "c").write_text("")
        case "renamed file":
            (folder / "a").rename(folder / "z")
        case _:
            (folder / "a").write_text("hell")
    with pytest.raises(DamagedObject):
        store.get(artifact)


def test_an_absent_object_is_damaged(store: Store) -> None:
    with pytest.raises(DamagedObject):
        store.get(Artifact("text", "00" * 32))


def test_an_action_is_found_again(store: Store) -> None:
    expected = action(put(store, a="1"))
    assert store.find(KEY) is None
    store.commit(KEY, expected)
    assert store.find(KEY) == expected
    assert Store(store.root).find(KEY) == expected


def test_an_action_whose_object_is_gone_is_absent(store: Store) -> None:
    artifact = put(store, a="hello")
    store.commit(KEY, action(artifact))
    flip(store.object_path(artifact.digest) / "a")
    with pytest.raises(DamagedObject):
        store.get(artifact)
    assert store.find(KEY) is None


@pytest.mark.parametrize("content", [
    b"", b"{", b"null", b"[]", b"3", b'{"kind": "text"}', b"\xff\xfe", b'{"kind": "text", "digest": 5, "step": "s", "parts": {}, "record": {}}',
])  # fmt: skip
def test_a_torn_or_foreign_action_is_absent(store: Store, content: bytes) -> None:
    store.commit(KEY, action(put(store, a="1")))
    store.action_path(KEY).write_bytes(content)
    assert store.find(KEY) is None
    assert list(store.actions()) == []


def test_every_truncation_of_an_action_is_absent_or_whole(store: Store) -> None:
    expected = action(put(store, a="1"))
    store.commit(KEY, expected)
    whole = store.action_path(KEY).read_bytes()
    for length in range(len(whole)):
        store.action_path(KEY).write_bytes(whole[:length])
        assert store.find(KEY) is None


def test_committing_again_replaces_the_action(store: Store) -> None:
    store.commit(KEY, action(put(store, a="1")))
    second = action(put(store, a="2"))
    store.commit(KEY, second)
    assert store.find(KEY) == second


def test_a_forgotten_action_is_absent_but_its_object_stays(store: Store) -> None:
    artifact = put(store, a="1")
    store.commit(KEY, action(artifact))
    store.forget(KEY)
    store.forget(KEY)
    assert store.find(KEY) is None
    assert store.has(artifact)


def test_actions_come_newest_first(store: Store) -> None:
    for number, age in enumerate((30, 10, 20)):
        key = f"{number:064d}"
        store.commit(key, Action(put(store, a=str(number)), str(age), {}, {}))
        os.utime(store.action_path(key), (1_000_000 - age, 1_000_000 - age))
    assert [found.step for _, found in store.actions()] == ["10", "20", "30"]


def test_a_source_is_copied_in_once(store: Store, tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(b"w" * 100)
    source = Source("torch", {"sub/weights": tmp_path / "weights"}, {"model.json": b"{}"})
    folder = store.ingest(source)
    assert (folder / "sub" / "weights").read_bytes() == b"w" * 100
    assert (folder / "model.json").read_bytes() == b"{}"
    assert (folder / "sub" / "weights").stat().st_nlink == 1
    assert folder.name == source.digest(store.digests.file)
    before = (folder / "sub" / "weights").stat()
    assert store.ingest(source) == folder
    assert (folder / "sub" / "weights").stat().st_mtime_ns == before.st_mtime_ns


def test_the_users_file_stays_writable(store: Store, tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(b"w")
    store.ingest(Source("torch", {"weights": tmp_path / "weights"}))
    assert stat.S_IMODE((tmp_path / "weights").stat().st_mode) & stat.S_IWUSR


def test_a_damaged_source_is_copied_in_again(store: Store, tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(b"w" * 100)
    source = Source("torch", {"weights": tmp_path / "weights"})
    flip(store.ingest(source) / "weights")
    assert (store.ingest(source) / "weights").read_bytes() == b"w" * 100


def test_a_source_that_changes_while_it_is_read_is_refused(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "weights").write_bytes(b"new")
    monkeypatch.setattr(store.digests, "file", lambda _path: "0" * 64)  # what it was a moment ago
    with pytest.raises(UsageError, match="changed while it was read"):
        store.ingest(Source("torch", {"weights": tmp_path / "weights"}))


def test_a_source_that_is_gone_is_named(store: Store, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="weights cannot be read: No such file or directory"):
        store.ingest(Source("torch", {"weights": tmp_path / "weights"}))


def test_scratch_stays_until_it_is_dropped(store: Store) -> None:
    (store.scratch(KEY) / "checkpoint").write_text("x")
    assert (Store(store.root).scratch(KEY) / "checkpoint").read_text() == "x"
    store.drop_scratch(KEY)
    assert list(store.scratch(KEY).iterdir()) == []
    store.drop_scratch("never there")


def test_a_store_cannot_be_a_file(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("")
    with pytest.raises(UsageError, match=r"the store .*store cannot be written: .*\ngive --store DIR"):
        Store(tmp_path / "store")


def test_the_record_is_kept_as_json(store: Store) -> None:
    store.commit(KEY, action(put(store, a="1")))
    document = json.loads(store.action_path(KEY).read_text())
    assert document["record"] == {"seconds": 1.5}
    assert document["parts"] == {"option suffix": "!"}


def test_another_put_of_the_same_bytes_does_not_disturb_the_first(store: Store) -> None:
    first = store.object_path(put(store, a="1").digest)
    inode = (first / "a").stat().st_ino
    put(store, a="1")
    assert (first / "a").stat().st_ino == inode


def test_an_unexpected_failure_of_the_disk_is_told_plainly(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(StepFailed, match="could not be written: Input/output error"):
        put(store, a="1")


def test_a_relative_folder_is_meant_from_where_the_command_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Store(tmp_path.relative_to(tmp_path) / "here").root == tmp_path / "here"
