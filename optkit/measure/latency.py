"""Latency, throughput, memory and cold start, baseline and candidates interleaved.

Each subject has a process of its own, all pinned to the same CPUs; they take turns, so that whatever the machine does
meanwhile is done to all of them, and idle ones do not compute. Rounds go on until the ratio of each candidate to the
baseline is known well enough for these processes, or their share of the time is up; then all are started anew.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from optkit.core.errors import UsageError
from optkit.core.interface import BATCH, Dim
from optkit.measure.feeding import made_up_inputs
from optkit.measure.latency_report import Feed, LatencyReport, Progress, Subject
from optkit.measure.measurement import Measurement

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from optkit.core.interface import Interface

_ONE = Dim(1, 1, 1)
"""What a model without an axis of samples takes."""


def made_up_feeds(interface: Interface) -> list[Feed]:
    """Returns made-up inputs at the tuned sizes: with the smallest batch, then with the tuned one if it is larger."""
    batch = interface.dims.get(BATCH, _ONE)
    return [_feed(interface, size) for size in sorted({batch.min, batch.opt})]


def feeds_of(interface: Interface, batches: Sequence[int] = ()) -> list[Feed]:
    """Returns made-up inputs at the tuned sizes for each of `batches`; for none, the smallest, tuned and largest.

    Raises:
        UsageError: The model does not take such a batch.
    """
    batch = interface.dims.get(BATCH, _ONE)
    for size in batches:
        if not batch.min <= size <= batch.max:
            takes = f"{batch.min} to {batch.max} samples" if batch.min < batch.max else f"a batch of {batch.max}"
            raise UsageError(f"a batch of {size}: the model takes {takes}", hint="`dims.batch` of a recipe says so")
    return [_feed(interface, size) for size in sorted(set(batches) or {batch.min, batch.opt, batch.max})]


def _feed(interface: Interface, batch: int) -> Feed:
    return Feed(batch, made_up_inputs(interface, {**interface.sizes("opt"), BATCH: batch}, seed=0))


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
        feeds: Inputs, smallest first. The last gets what the others leave of the time, at least three quarters.
        budget: Seconds, but for the first start until it is warm. Each start makes five rounds whatever they take.
        precision: Half the width of a ratio's interval, relative to the ratio, that is narrow enough.
        profile: Whether to record, after the timing, where the time goes on the last feed.

    Raises:
        StepFailed: The baseline's process died, or its model failed; the message names it.
        UsageError, MissingDependency: The baseline cannot be opened.
    """
    with tempfile.TemporaryDirectory() as scratch:
        files = {feed.batch: save_feed(feed, Path(scratch), index) for index, feed in enumerate(feeds)}
        measurement = Measurement([baseline, *candidates], files, budget, precision)
        return (yield from measurement.run(profile=profile))


def save_feed(feed: Feed, scratch: Path, index: int) -> dict[str, str]:
    """Writes the inputs for workers to read; returns input → npy file."""
    import numpy as np

    files = {name: str(scratch / f"{index}_{position}.npy") for position, name in enumerate(feed.inputs)}
    for name, file in files.items():
        np.save(file, feed.inputs[name], allow_pickle=False)
    return files
