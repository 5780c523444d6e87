"""Throughput and latency in the settings that a recipe asks for: to look at, for no gate judges them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from optkit.core.errors import OptkitError
from optkit.core.events import Event, Note, StepStarted
from optkit.core.results import SweepPoint
from optkit.workflow.progress import as_events

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from optkit.core.interface import Interface
    from optkit.core.recipe import SweepSpec
    from optkit.measure.latency_report import Subject
    from optkit.measure.sweep import Point


def sweep_all(
    subjects: Sequence[Subject], model: Interface, spec: SweepSpec | None
) -> Generator[Event, None, dict[str, tuple[SweepPoint, ...]]]:
    """Sweeps one model after the other; says what could not be measured.

    Returns:
        Subject → its settings; those whose sweep failed are left out. Nothing if no sweep is asked for.

    Raises:
        UsageError: The model does not take such a batch.
    """
    from optkit.measure.latency import feeds_of
    from optkit.measure.sweep import sweep

    found: dict[str, tuple[SweepPoint, ...]] = {}
    if spec is None:
        return found
    feeds = feeds_of(model, spec.batches)
    for subject in subjects:
        step = f"sweep of {subject.name}"
        yield StepStarted(step)
        measurement = sweep(subject, feeds, spec.threads, spec.instances, spec.seconds)
        try:
            report = yield from as_events(measurement, step)
        except OptkitError as error:
            yield Note(f"{subject.name} has no sweep: {error.message}")
            continue
        found[subject.name] = tuple(map(_point, report.points))
        for why, count in Counter(report.skipped.values()).items():
            yield Note(f"{subject.name} has no figures for {count} settings of its sweep: {why}")
    return found


def _point(point: Point) -> SweepPoint:
    setting, percentiles = point.setting, point.percentiles
    return SweepPoint(
        setting.batch, setting.threads, setting.instances, point.throughput,
        percentiles["p50"], percentiles.get("p90"), percentiles.get("p99"), point.joules,
    )  # fmt: skip
