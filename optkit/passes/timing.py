"""Times graphs against the one before, for steps that decide by it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from optkit.measure.latency import made_up_feeds, measure_latency
from optkit.measure.latency_report import Subject

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from optkit.core.interface import Interface
    from optkit.measure.latency_report import Speedup

SECONDS = 2.0
"""Enough to see whether a rewrite slows a graph."""
SLOWER = "it slows the graph"
_THREADS = 2
"""As many as sessions have by default when they are measured."""
_PRECISION = 0.02
_BASELINE = "the graph before"


def threads() -> int:
    """Returns the threads of each session."""
    return min(_THREADS, os.cpu_count() or 1)


def time_against(
    before: Path,
    candidates: Mapping[str, Path],
    interface: Interface,
    seconds: float,
    progress: Callable[[float, str], None],
) -> dict[str, Speedup]:
    """Returns name → speedup over `before` at the tuned sizes, all interleaved in processes of their own.

    Args:
        before: An ONNX artifact.
        candidates: Name → ONNX artifact.
        interface: Of all of them.
        seconds: Of timing; loading and warm-up are not counted.
        progress: Is told the fraction that is done, and of what.

    Raises:
        StepFailed: A model fails.
    """
    baseline = Subject(_BASELINE, "onnxruntime", before, threads())
    subjects = [Subject(name, "onnxruntime", folder, threads()) for name, folder in candidates.items()]
    measurement = measure_latency(baseline, subjects, made_up_feeds(interface)[-1:], seconds, _PRECISION)
    while True:
        try:
            state = next(measurement)
        except StopIteration as stop:
            stop.value.raise_failure()
            return dict(stop.value.feeds[-1].speedups)
        progress(state.fraction, f"timing {state.text.strip()}")
