"""`optkit bench`: measure models without a recipe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from optkit.core import interface
from optkit.core.errors import MissingDependency, OptkitError, UsageError
from optkit.core.gates import Estimate
from optkit.workflow import timing
from optkit.workflow.models import new_execution
from optkit.workflow.opening import open_all, split_absent
from optkit.workflow.progress import as_events
from optkit.workflow.shared_inputs import shared_inputs

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from optkit.core.events import Event
    from optkit.core.results import Timing
    from optkit.measure.sweep import SweepReport


@dataclass(frozen=True, slots=True)
class BenchResult:
    """What became of each model.

    Attributes:
        timed: Model as named → its timing and, but for the first of them, its speed-up over that.
        skipped: Those whose runtime is not here → what is missing.
        failed: Those that failed → how.
    """

    timed: dict[str, tuple[Timing, Estimate | None]]
    skipped: dict[str, str]
    failed: dict[str, OptkitError]


def bench(  # noqa: PLR0913, PLR0917  # what the command takes
    models: Sequence[Path],
    store: Path,
    threads: int,
    seconds: float,
    precision: float,
    runtimes: Sequence[str] = (),
    *,
    profile: bool = False,
) -> Generator[Event, None, BenchResult]:
    """Times models interleaved, the first whose runtime is here being what the others are compared with.

    Raises:
        UsageError: The models take different inputs, or `runtimes` does not fit them; see `open_all`.
        MissingDependency: None of the runtimes is here.
        StepFailed: What the others would be compared with failed.
    """
    from optkit.measure.latency_report import Subject

    execution = new_execution(store, store / "repro")
    present, skipped = split_absent((yield from open_all(models, runtimes, execution)))
    subjects = [Subject(model.name, model.runtime, model.folder, threads) for model in present]
    names = [model.name for model in present]
    shape = shared_inputs(names, [interface.read(model.folder) for model in present])
    report = yield from timing.run(subjects, shape, seconds, precision, profile=profile)
    skipped |= {name: error.message for name, error in report.failed.items() if isinstance(error, MissingDependency)}
    timed: dict[str, tuple[Timing, Estimate | None]] = {}
    for model in present:
        if model.name not in report.failed:
            speedup = report.feeds[-1].speedups.get(model.name)
            found = timing.timing_of(report, model.name, model.runtime, threads, shape.sizes("opt"))
            timed[model.name] = found, Estimate(speedup.ratio, *speedup.interval) if speedup else None
    return BenchResult(timed, skipped, {name: e for name, e in report.failed.items() if name not in skipped})


def sweep(  # noqa: PLR0913, PLR0917  # what the command takes
    model: Path,
    store: Path,
    batches: Sequence[int],
    threads: Sequence[int],
    instances: Sequence[int],
    seconds: float,
    runtimes: Sequence[str] = (),
) -> Generator[Event, None, SweepReport]:
    """Measures throughput and latency of a model for every combination of batch, threads and instances.

    Args:
        model: What `open_model` takes.
        store: The store's folder.
        batches: Samples per run; none for the smallest, the tuned and the largest that the model is declared to take.
        threads: Of each instance.
        instances: That run at the same time.
        seconds: For everything.
        runtimes: At most one.

    Raises:
        UsageError: The model does not take such a batch.
        MissingDependency: The runtime is not here.
        StepFailed: The model fails in every setting.
    """
    from optkit.measure.latency import feeds_of
    from optkit.measure.latency_report import Subject
    from optkit.measure.sweep import sweep as measure

    if len(runtimes) > 1:
        raise UsageError("a sweep is made in one runtime", hint="call it once for each")
    execution = new_execution(store, store / "repro")
    (opened,), _ = split_absent((yield from open_all([model], runtimes, execution)))
    subject = Subject(opened.name, opened.runtime, opened.folder, max(threads))
    feeds = feeds_of(interface.read(opened.folder), batches)
    return (yield from as_events(measure(subject, feeds, threads, instances, seconds)))
