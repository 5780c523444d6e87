"""Throughput and latency of one model over batch sizes, threads and instances that run at the same time."""

from __future__ import annotations

import statistics
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from optkit.core.errors import OptkitError, UsageError
from optkit.measure.energy import package_counters
from optkit.measure.latency import save_feed
from optkit.measure.latency_report import Progress
from optkit.measure.pareto import pareto_front
from optkit.measure.statistics import percentiles_ms
from optkit.measure.worker_process import cpus_for, start_worker, together

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping, Sequence

    from optkit.measure.latency_report import Feed, Subject
    from optkit.measure.worker_process import WorkerProcess

_WINDOWS = 3
"""Of each setting; the median of their throughputs is not that of the moment in which the machine was disturbed."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A way to run the model.

    Attributes:
        batch: Samples per run.
        threads: Threads of each instance.
        instances: Processes that run it at the same time, on cores of their own while there are enough.
    """

    batch: int
    threads: int
    instances: int

    def __str__(self) -> str:
        return f"batch {self.batch}, threads {self.threads}, instances {self.instances}"


@dataclass(frozen=True, slots=True)
class Point:
    """How a setting did.

    Attributes:
        setting: What was run.
        percentiles: p50, p90, p99 → milliseconds of a run, for those that the number of runs supports.
        throughput: Samples per second of all instances together.
        runs: How many runs this rests on.
        joules: Energy of the CPU packages for each sample, whatever else the machine does included; None if unknown.
    """

    setting: Setting
    percentiles: Mapping[str, float]
    throughput: float
    runs: int
    joules: float | None


@dataclass(frozen=True, slots=True)
class SweepReport:
    """All settings.

    Attributes:
        points: Those that were measured.
        pareto: For each point whether no other is both as fast and gives as much throughput, and better in one.
        skipped: Those that were not → why.
        no_energy: Why energy is unknown, or nothing.
    """

    points: tuple[Point, ...]
    pareto: tuple[bool, ...]
    skipped: Mapping[Setting, str]
    no_energy: str


def sweep(
    subject: Subject, feeds: Sequence[Feed], threads: Sequence[int], instances: Sequence[int], budget: float
) -> Generator[Progress, None, SweepReport]:
    """Measures every combination; yields progress and returns the report.

    Where the instances fail (as for want of memory), or the time is up, settings are skipped.

    Args:
        subject: The model; its `threads` do not matter.
        feeds: Inputs, one for each batch size.
        threads: Of each instance.
        instances: At the same time.
        budget: Seconds for everything. Each setting gets an equal share of what is left, and has six runs at least.

    Raises:
        OptkitError: No setting could be measured.
    """
    deadline = time.monotonic() + budget
    groups = [[Setting(feed.batch, *how) for feed in feeds] for how in product(threads, instances)]
    points: list[Point] = []
    failures: dict[Setting, OptkitError] = {}
    with tempfile.TemporaryDirectory() as scratch:
        files = {feed.batch: save_feed(feed, Path(scratch), index) for index, feed in enumerate(feeds)}
        for done, group in enumerate(groups):
            later = (len(groups) - done - 1) * len(feeds)
            try:
                for point in _points(subject, group, files, deadline, later):
                    points.append(point)
                    yield Progress(done / len(groups), str(point.setting))
            except OptkitError as error:
                failures |= dict.fromkeys(group, error)
    return _report([setting for group in groups for setting in group], points, failures)


def _points(
    subject: Subject, group: Sequence[Setting], files: Mapping[int, Mapping[str, str]], deadline: float, later: int
) -> Iterator[Point]:
    """Yields a point for each setting of a group, whose settings differ in the batch; fewer if the time is up.

    Args:
        subject: The model.
        group: Settings for the same instances.
        files: Batch → input → npy file.
        deadline: When the time is up.
        later: How many settings come after the group.
    """
    threads, instances = group[0].threads, group[0].instances
    with ExitStack() as stack:
        if time.monotonic() >= deadline:
            return
        workers = [stack.enter_context(start_worker(replace(subject, threads=threads))) for _ in range(instances)]
        for instance, worker in enumerate(workers):
            worker.open(cpus_for(threads, instance))
        for index, setting in enumerate(group):
            together(workers, "feed", files=files[setting.batch])
            together(workers, "warm_up")
            left = deadline - time.monotonic()
            if left <= 0:
                return
            yield _measure(workers, setting, left / (len(group) - index + later))


def _measure(workers: Sequence[WorkerProcess], setting: Setting, seconds: float) -> Point:
    counters, _ = package_counters()
    before = [counter.read() for counter in counters]
    windows = [together(workers, "measure_for", seconds=seconds / _WINDOWS) for _ in range(_WINDOWS)]
    used = sum(counter.since(start) for counter, start in zip(counters, before, strict=True))
    samples = [sample for window in windows for each in window for sample in each["samples"]]
    rates = [sum(len(each["samples"]) / each["seconds"] for each in window) for window in windows]
    throughput = setting.batch * statistics.median(rates)
    joules = used / 1e6 / (setting.batch * len(samples)) if counters else None
    return Point(setting, percentiles_ms(samples), throughput, len(samples), joules)


def _report(
    settings: Sequence[Setting], points: Sequence[Point], failures: Mapping[Setting, OptkitError]
) -> SweepReport:
    for error in failures.values() if not points else ():
        raise error
    if not points:
        raise UsageError("no setting could be measured in time", hint="give more --seconds, or fewer settings")
    front = pareto_front([(point.percentiles["p50"], -point.throughput) for point in points])
    measured = {point.setting for point in points}
    skipped = {
        setting: failures[setting].message if setting in failures else "the time was up"
        for setting in settings
        if setting not in measured
    }
    _, no_energy = package_counters()
    return SweepReport(tuple(points), tuple(front), skipped, no_energy)
