"""Ties a process's life to its parent's, so that nothing is left running after a kill."""

from __future__ import annotations

import ctypes
import os
import signal

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int) -> None:
    """Asks the kernel (Linux) to kill this process when its parent dies.

    Args:
        parent: The parent's process id, as told by itself: it may be gone before this process gets to ask.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before we asked
        os._exit(1)
