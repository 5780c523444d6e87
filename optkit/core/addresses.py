"""Starts a module with the same addresses in every run: `python -m optkit.core.addresses MODULE ARGUMENT…`.

For libraries that number things in the order of their pointers. Linux places memory at random (ASLR); whatever iterates
over a set of pointers then gives another order, and other bytes, at each run. This little process ends by becoming the
module's: it imports nothing that the module would have to import again.
"""

from __future__ import annotations

import ctypes
import os
import sys

_ADDR_NO_RANDOMIZE = 0x0040000
_ASK = 0xFFFFFFFF
"""personality(2)."""


def fix_addresses() -> None:
    """Has Linux place the memory of programs that this process starts or becomes at fixed addresses.

    Where there is no Linux, or a container forbids it, nothing changes.
    """
    try:
        personality = ctypes.CDLL(None).personality
    except (AttributeError, OSError):
        return
    now = personality(ctypes.c_ulong(_ASK))
    if now >= 0:
        personality(ctypes.c_ulong(now | _ADDR_NO_RANDOMIZE))


if __name__ == "__main__":
    fix_addresses()
    os.execv(sys.executable, [sys.executable, "-P", "-m", *sys.argv[1:]])  # noqa: S606  # ourselves, without a shell
