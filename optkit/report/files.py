"""Files that are either whole or not there."""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING

from optkit.core.errors import OptkitError, StepFailed, UsageError

if TYPE_CHECKING:
    from pathlib import Path

_MAX_BYTES = 256 << 20
DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}


def write_text(path: Path, text: str) -> None:
    """Writes a file beside its place, flushes it and renames it; a crash leaves the old file or the new one.

    Raises:
        UsageError: The folder cannot be written.
        StepFailed: The disk is full or failing.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        # A file name that is no valid UTF-8 reaches us as lone surrogates: they are spelled out.
        with draft.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        raise disk_error(path, error) from None
    finally:
        with contextlib.suppress(OSError):
            draft.unlink()


def read_bytes(path: Path) -> bytes:
    """Returns a file of a run.

    Raises:
        UsageError: It cannot be read, or is larger than any that optkit writes.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise UsageError(f"{path} is larger than {_MAX_BYTES >> 20} MiB: optkit did not write it")
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None


def disk_error(path: Path, error: OSError) -> OptkitError:
    """Returns what to raise when `path` could not be written."""
    message = f"{path} could not be written: {error.strerror}"
    if error.errno in DISK_ERRORS:
        return StepFailed(message, hint="free some space and run again")
    return UsageError(message, hint="give a folder that you may write, as in -o DIR")
