"""Digests of the user's files: remembered only where that is safe."""

from __future__ import annotations

import os
import sqlite3
import time
from typing import TYPE_CHECKING

import pytest

from optkit.core import artifact, digests
from optkit.core.artifact import digest_bytes
from optkit.core.digests import DigestCache
from optkit.core.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "weights.bin"
    path.write_bytes(b"aaaa")
    return path


@pytest.fixture
def cache(tmp_path: Path) -> DigestCache:
    return DigestCache(tmp_path / "files.sqlite")


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a minute pass, so that files count as settled."""
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 60)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Lists the files whose bytes are read."""
    found: list[Path] = []
    real = artifact.digest_file

    def counting(path: Path) -> str:
        found.append(path)
        return real(path)

    monkeypatch.setattr(digests, "digest_file", counting)
    return found


@pytest.mark.usefixtures("later")
def test_a_settled_file_is_read_once(cache: DigestCache, file: Path, reads: list[Path]) -> None:
    assert cache.file(file) == cache.file(file) == digest_bytes(b"aaaa")
    assert DigestCache(cache.path).file(file) == digest_bytes(b"aaaa")
    assert reads == [file]


def test_a_file_written_just_now_is_not_remembered(cache: DigestCache, file: Path, reads: list[Path]) -> None:
    cache.file(file)
    cache.file(file)
    assert len(reads) == 2


def test_a_file_whose_old_time_was_restored_is_not_remembered(
    cache: DigestCache, file: Path, reads: list[Path]
) -> None:
    os.utime(file, (1_000_000, 1_000_000))  # as `cp -p` or an archive does; the inode changed just now
    cache.file(file)
    cache.file(file)
    assert len(reads) == 2


@pytest.mark.usefixtures("later")
def test_other_bytes_of_the_same_size_and_time_are_noticed(cache: DigestCache, file: Path) -> None:
    times = file.stat()
    cache.file(file)
    file.write_bytes(b"bbbb")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert cache.file(file) == digest_bytes(b"bbbb")


@pytest.mark.usefixtures("later")
def test_a_replaced_file_is_noticed(cache: DigestCache, file: Path, tmp_path: Path) -> None:
    cache.file(file)
    other = tmp_path / "other"
    other.write_bytes(b"cccc")
    other.replace(file)
    assert cache.file(file) == digest_bytes(b"cccc")


@pytest.mark.usefixtures("later")
def test_a_link_is_what_it_points_to(cache: DigestCache, file: Path, tmp_path: Path, reads: list[Path]) -> None:
    link = tmp_path / "link"
    link.symlink_to(file)
    assert cache.file(link) == cache.file(file)
    assert reads == [file]
    (tmp_path / "other").write_bytes(b"dddd")
    link.unlink()
    link.symlink_to(tmp_path / "other")
    assert cache.file(link) == digest_bytes(b"dddd")


@pytest.mark.usefixtures("later")
@pytest.mark.parametrize("content", [b"no database at all, but long enough to look like one" * 40, b"x"])
def test_a_broken_database_only_costs_time(cache: DigestCache, file: Path, content: bytes) -> None:
    cache.path.write_bytes(content)
    assert cache.file(file) == cache.file(file) == digest_bytes(b"aaaa")


@pytest.mark.usefixtures("later")
def test_a_database_of_another_shape_only_costs_time(cache: DigestCache, file: Path) -> None:
    database = sqlite3.connect(cache.path)
    database.execute("CREATE TABLE files (something TEXT)")
    database.close()
    assert cache.file(file) == digest_bytes(b"aaaa")


@pytest.mark.usefixtures("later")
def test_a_locked_database_only_costs_time(cache: DigestCache, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.file(file)
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda path, timeout: connect(path, timeout=timeout / 100))
    owner = connect(cache.path)
    owner.execute("BEGIN EXCLUSIVE")
    try:
        assert cache.file(file) == digest_bytes(b"aaaa")
    finally:
        owner.close()


def test_a_database_that_cannot_be_made_only_costs_time(tmp_path: Path, file: Path) -> None:
    assert DigestCache(tmp_path / "no" / "folder" / "files.sqlite").file(file) == digest_bytes(b"aaaa")


def test_a_missing_file_is_the_users_mistake(cache: DigestCache, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="gone cannot be read: No such file or directory"):
        cache.file(tmp_path / "gone")
    with pytest.raises(UsageError, match="Is a directory"):
        cache.file(tmp_path)
