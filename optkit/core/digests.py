"""Digests of the user's files, remembered by path, size, inode and time."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING

from optkit.core.artifact import digest_file
from optkit.core.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

_TABLE = "CREATE TABLE IF NOT EXISTS files (path TEXT PRIMARY KEY, stamp TEXT NOT NULL, digest TEXT NOT NULL)"
# A file written in the last moments may change again within the clock's grain: do not remember it yet.
_SETTLED_SECONDS = 2.0


class DigestCache:
    """A cache that only saves time: when its file is broken or locked, digests are computed anew."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def file(self, path: Path) -> str:
        """Returns the sha256 of a file in hex, from memory if the file has not changed.

        Raises:
            UsageError: It cannot be read.
        """
        try:
            return self._digest(path.resolve())
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror}") from None

    def _digest(self, real: Path) -> str:
        stat = real.stat()
        stamp = f"{stat.st_size}-{stat.st_mtime_ns}-{stat.st_ctime_ns}-{stat.st_ino}"
        known = self._recall(str(real), stamp)
        if known:
            return known
        digest = digest_file(real)
        if time.time() - max(stat.st_mtime, stat.st_ctime) > _SETTLED_SECONDS:
            self._remember(str(real), stamp, digest)
        return digest

    def _recall(self, path: str, stamp: str) -> str | None:
        try:
            with closing(self._open()) as database:
                query = "SELECT digest FROM files WHERE path = ? AND stamp = ?"
                row = database.execute(query, (path, stamp)).fetchone()
        except sqlite3.Error:
            return None
        return row[0] if row else None

    def _remember(self, path: str, stamp: str, digest: str) -> None:
        try:
            with closing(self._open()) as database, database:
                database.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?)", (path, stamp, digest))
        except sqlite3.Error:
            return

    def _open(self) -> sqlite3.Connection:
        database = sqlite3.connect(self.path, timeout=1.0)
        try:
            database.execute(_TABLE)
        except sqlite3.Error:
            database.close()
            raise
        return database
