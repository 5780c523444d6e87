"""Ties a process's life to its parent's, so that nothing is left running after a kill.

As a script, `python lifetime.py PARENT_PID COMMAND…` does so for any program: it asks, then becomes the command. That
is a process of its own because code between fork and exec may deadlock in a program with threads. Source: prctl(2).
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int, how: signal.Signals = signal.SIGKILL) -> None:
    """Asks the kernel (Linux) to end this process when its parent dies.

    Args:
        parent: The parent's process id, as told by itself: it may be gone before this process gets to ask.
        how: The signal to send.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, how)
    if os.getppid() != parent:  # it died before we asked
        os._exit(1)


if __name__ == "__main__":
    die_with_parent(int(sys.argv[1]), signal.SIGINT)
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606  # becoming the command is the point
