"""The same addresses in every run: for libraries that number things in the order of their pointers.

Linux places memory at random (ASLR). Whatever iterates over a set of pointers then gives another order, and other
bytes, at each run.
"""

from __future__ import annotations

import ctypes
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_ADDR_NO_RANDOMIZE = 0x0040000
_ASK = 0xFFFFFFFF
"""personality(2)."""


def restart_with_fixed_addresses(module: str, arguments: Sequence[str]) -> None:
    """Starts this process again as `python -m module`, its memory no longer placed at random; returns if it is so.

    Where a container forbids it, the process goes on as it is.
    """
    try:
        personality = ctypes.CDLL(None).personality
    except (AttributeError, OSError):
        return
    now = personality(ctypes.c_ulong(_ASK))
    if now < 0 or now & _ADDR_NO_RANDOMIZE or personality(ctypes.c_ulong(now | _ADDR_NO_RANDOMIZE)) < 0:
        return
    os.execv(sys.executable, [sys.executable, "-P", "-m", module, *arguments])  # noqa: S606  # ourselves, without a shell
