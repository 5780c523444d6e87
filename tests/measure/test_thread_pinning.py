from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

import pytest

from optkit.measure.thread_pinning import cpu_times, pin_busiest, spread

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def cpus() -> Iterator[list[int]]:
    """The CPUs of this process, which has them all again afterwards."""
    allowed = sorted(os.sched_getaffinity(0))
    yield allowed
    spread(allowed)


def _compute(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def _compute_then_wait(seconds: float, go_on: threading.Event) -> None:
    _compute(seconds)
    go_on.wait()


def test_threads_that_compute_get_a_cpu_each_and_others_keep_all(cpus: list[int]) -> None:
    go_on = threading.Event()
    busy = threading.Thread(target=_compute_then_wait, args=(0.1, go_on))
    idle = threading.Thread(target=go_on.wait)
    before = cpu_times()
    busy.start()
    idle.start()
    _compute(0.2)
    try:
        while cpu_times()[busy.native_id or 0] < 0.09e9:
            time.sleep(0.01)
        pin_busiest(cpus[:2], before)
        assert os.sched_getaffinity(os.getpid()) == {cpus[0]}
        assert os.sched_getaffinity(busy.native_id or 0) == ({cpus[1]} if len(cpus) > 1 else set(cpus))
        assert os.sched_getaffinity(idle.native_id or 0) == set(cpus)
        spread(cpus)
        assert os.sched_getaffinity(os.getpid()) == set(cpus)
    finally:
        go_on.set()


def test_without_cpus_to_pin_to_nothing_is_pinned(cpus: list[int]) -> None:
    pin_busiest([], {})
    spread([])
    assert os.sched_getaffinity(0) == set(cpus)
