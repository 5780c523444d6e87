"""Latency, throughput, memory and cold start, baseline and candidates interleaved.

Each subject has a process of its own, all pinned to the same CPUs; they take turns, so that whatever the machine does
meanwhile is done to all of them, and idle ones do not compute. Rounds go on until the interval of each candidate's
ratio to the baseline is narrow enough, or the time is up.
"""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from optkit.core.interface import BATCH
from optkit.measure.feeding import made_up_inputs
from optkit.measure.latency_report import Feed, LatencyReport, Progress, Subject
from optkit.measure.rounds import Rounds
from optkit.measure.worker_process import cpus_for, start_worker
from optkit.measure.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from optkit.core.interface import Interface
    from optkit.core.results import Profile

_LAST_SHARE = 0.75
"""Of the time, for the last feed: gates look at no other."""


def made_up_feeds(interface: Interface, seed: int = 0) -> list[Feed]:
    """Returns made-up inputs at the tuned sizes: with the smallest batch, then with the tuned one if it is larger."""
    opt = interface.sizes("opt")
    smallest = interface.dims[BATCH].min if BATCH in interface.dims else 1
    batches = sorted({smallest, opt.get(BATCH, smallest)})
    return [Feed(batch, made_up_inputs(interface, {**opt, BATCH: batch}, seed)) for batch in batches]


def measure_latency(  # noqa: PLR0913  # what a measurement is
    baseline: Subject,
    candidates: Sequence[Subject],
    feeds: Sequence[Feed],
    budget: float,
    precision: float = 0.02,
    *,
    profile: bool = False,
) -> Generator[Progress, None, LatencyReport]:
    """Times all subjects on each feed; yields progress and returns the report.

    A candidate that fails is left out from then on and stands in `LatencyReport.failed`; the others go on.

    Args:
        baseline: What the candidates are compared with.
        candidates: May be empty: then the baseline's own median decides when to stop.
        feeds: Inputs, smallest first. The last gets what the others leave of the budget, at least three quarters.
        budget: Seconds of timing; loading and warm-up are not counted. Five rounds are made whatever they take.
        precision: Half the width of a ratio's interval, relative to the ratio, at which a feed is settled.
        profile: Whether to record, after the timing, where the time goes on the last feed.

    Raises:
        StepFailed: The baseline's process died, or its model failed; the message names it.
        UsageError, MissingDependency: The baseline cannot be opened.
    """
    cpus = cpus_for(max(subject.threads for subject in (baseline, *candidates)))
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        workers, results, spent = Workers(), [], 0.0
        for subject in (baseline, *candidates):
            yield Progress(0.0, f"loading {subject.name}")
            workers.open(stack.enter_context(start_worker(subject)), cpus)
        for index, feed in enumerate(feeds):
            yield Progress(index / len(feeds), f"warming up, batch {feed.batch}")
            rounds = Rounds(workers.turns(save_feed(feed, scratch, index)), precision)
            started = time.monotonic()
            for fraction in rounds.run(_seconds(budget, spent, len(feeds) - index)):
                yield Progress((index + fraction) / len(feeds), f"batch {feed.batch} {rounds.summary()}")
            spent += time.monotonic() - started
            workers.leave_out(rounds.failed)
            results.append(rounds.result(feed.batch))
        facts = workers.facts()
        profiles: dict[str, Profile | str] = {}
        for name in workers.names if profile else ():
            yield Progress(1.0, f"profiling {name}")
            profiles[name] = workers.profile(name)
        return LatencyReport(tuple(results), facts, tuple(cpus), workers.failed, profiles)


def _seconds(budget: float, spent: float, feeds_left: int) -> float:
    """Returns the seconds of the next feed."""
    if feeds_left == 1:
        return budget - spent
    return max(0.0, (1 - _LAST_SHARE) * budget - spent) / (feeds_left - 1)


def save_feed(feed: Feed, scratch: Path, index: int) -> dict[str, str]:
    """Writes the inputs for workers to read; returns input → npy file."""
    import numpy as np

    files = {name: str(scratch / f"{index}_{position}.npy") for position, name in enumerate(feed.inputs)}
    for name, file in files.items():
        np.save(file, feed.inputs[name], allow_pickle=False)
    return files
