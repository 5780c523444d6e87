"""Gives each thread of this process that computes a CPU of its own, whatever library made it.

Left to the scheduler, one process may have its main thread on the busier CPU for seconds, and its rival not: turns that
follow each other are alike then, and a model seems slower than itself.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_TASKS = Path("/proc/self/task")


def cpu_times() -> dict[int, int]:
    """Returns thread → nanoseconds on a CPU so far; nothing where the kernel does not count them."""
    times: dict[int, int] = {}
    for task in _TASKS.iterdir() if _TASKS.exists() else ():
        with suppress(OSError):  # it may have ended, or the kernel may not tell
            times[int(task.name)] = int((task / "schedstat").read_text().split()[0])
    return times


def spread(cpus: Sequence[int]) -> None:
    """Lets every thread of this process run on all of `cpus`, and those that they start in future."""
    for thread in cpu_times() if cpus else ():
        _pin(thread, cpus)


def pin_busiest(cpus: Sequence[int], before: Mapping[int, int]) -> None:
    """Pins as many threads as there are CPUs to one each: those that computed most since `before`.

    The main thread, if it is among them, gets the first CPU: in every process the same one.
    """
    main = os.getpid()
    worked = {thread: time - before.get(thread, 0) for thread, time in cpu_times().items()}
    busiest = sorted(worked, key=lambda thread: -worked[thread])[: len(cpus)]
    for thread, cpu in zip(sorted(busiest, key=lambda each: (each != main, each)), cpus, strict=False):
        _pin(thread, [cpu])


def _pin(thread: int, cpus: Sequence[int]) -> None:
    with suppress(ProcessLookupError):
        os.sched_setaffinity(thread, cpus)
