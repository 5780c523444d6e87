"""Processes that a command started."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from pathlib import Path


def using(store: Path) -> list[psutil.Process]:
    """Returns the processes, of whatever group, that were started for a store."""
    return [process for process in psutil.process_iter() if _store_of(process) == str(store)]


def wait_until_gone(store: Path, seconds: float = 60.0) -> None:
    """Waits until no process uses a store.

    Raises:
        AssertionError: One still does.
    """
    end = time.monotonic() + seconds
    while left := using(store):
        assert time.monotonic() < end, [process.cmdline() for process in left]
        time.sleep(0.02)


def _store_of(process: psutil.Process) -> str:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return ""
        return str(process.environ().get("OPTKIT_STORE", ""))
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return ""
