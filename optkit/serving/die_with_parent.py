"""Runs a command that the kernel interrupts when its parent dies, so that no server outlives optkit.

Started as a script: `python die_with_parent.py PARENT_PID COMMAND...`. A process of its own, because code between
fork and exec (`preexec_fn`) may deadlock in a program with threads. Source: prctl(2), PR_SET_PDEATHSIG.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1

if __name__ == "__main__":
    parent, command = int(sys.argv[1]), sys.argv[2:]
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT)
    if os.getppid() != parent:  # it died before the kernel was told
        sys.exit(1)
    os.execv(command[0], command)  # noqa: S606 - replacing this process is what the script is for
