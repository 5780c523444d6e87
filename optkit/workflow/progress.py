"""The progress of a measurement, as events of the step that a user sees it as."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from optkit.core.events import Event, StepProgress

if TYPE_CHECKING:
    from collections.abc import Generator

    from optkit.measure.latency_report import Progress

R = TypeVar("R")
STEP = "latency"


def as_events(measurement: Generator[Progress, None, R], step: str = STEP) -> Generator[Event, None, R]:
    """Passes the progress of a measurement on as events and returns what it found."""
    while True:
        try:
            progress = next(measurement)
        except StopIteration as stop:
            result: R = stop.value
            yield StepProgress(step, 1.0, "done")
            return result
        yield StepProgress(step, progress.fraction, progress.text.strip())
