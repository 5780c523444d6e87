"""Latency, throughput, memory and cold start, baseline and candidates interleaved.

Each subject has a process of its own, all pinned to the same CPUs; they take turns (A B A B …), so that whatever the
machine does meanwhile is done to all of them, and idle ones do not compute. Rounds go on until the interval of each
candidate's ratio to the baseline is narrow enough, or the time is up.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from optkit.core.errors import OptkitError
from optkit.core.interface import BATCH
from optkit.measure.feeding import made_up_inputs
from optkit.measure.latency_report import Feed, LatencyReport, ProcessFacts, Progress, Subject
from optkit.measure.profile import from_json
from optkit.measure.rounds import Rounds
from optkit.measure.worker_process import WorkerProcess, cpus_for, start_worker

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from optkit.core.interface import Interface
    from optkit.core.results import Profile


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

    Args:
        baseline: What the candidates are compared with.
        candidates: May be empty: then the baseline's own median decides when to stop.
        feeds: Inputs, smallest first. Each gets an equal share of the budget.
        budget: Seconds of timing; loading and warm-up are not counted. Ten rounds are made whatever they take.
        precision: Half the width of the 95 % interval, relative to the ratio, at which a feed is settled.
        profile: Whether to record, after the timing, where the time goes on the last feed.

    Raises:
        StepFailed: A subject's process died, or its model failed; the message names the subject.
        UsageError, MissingDependency: A subject cannot be opened.
    """
    subjects = [baseline, *candidates]
    cpus = cpus_for(max(subject.threads for subject in subjects))
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        workers, loads = [], []
        for subject in subjects:
            yield Progress(0.0, f"loading {subject.name}")
            workers.append(stack.enter_context(start_worker(subject)))
            loads.append(_open(workers[-1], cpus))
        results, warm_ups = [], []
        for index, feed in enumerate(feeds):
            yield Progress(index / len(feeds), f"warming up, batch {feed.batch}")
            files = _save(feed, scratch, index)
            warm_ups.append([_warm_up(worker, files) for worker in workers])
            rounds = Rounds(workers, [warm["settled_s"] for warm in warm_ups[-1]], precision)
            for fraction in rounds.run(budget / len(feeds)):
                yield Progress((index + fraction) / len(feeds), f"batch {feed.batch} {rounds.summary()}")
            results.append(rounds.result(feed.batch))
        firsts = [warm["first_s"] for warm in warm_ups[0]]
        facts = map(ProcessFacts, loads, firsts, [worker.ask("peak_rss") for worker in workers])
        processes = dict(zip([subject.name for subject in subjects], facts, strict=True))
        profiles: dict[str, Profile | str] = {}
        for worker in workers if profile else ():
            yield Progress(1.0, f"profiling {worker.subject.name}")
            profiles[worker.subject.name] = _profile(worker)
        return LatencyReport(tuple(results), processes, tuple(cpus), profiles)


def _open(worker: WorkerProcess, cpus: Sequence[int]) -> float:
    subject = worker.subject
    folder = str(subject.folder.resolve())
    return float(worker.ask("open", runtime=subject.runtime, folder=folder, threads=subject.threads, cpus=cpus))


def _profile(worker: WorkerProcess) -> Profile | str:
    subject = worker.subject
    try:
        found = worker.ask(
            "profile", runtime=subject.runtime, folder=str(subject.folder.resolve()), threads=subject.threads
        )
    except OptkitError as error:  # the model is timed already: that must not be lost
        return error.message
    return from_json(found)


def _save(feed: Feed, scratch: Path, index: int) -> dict[str, str]:
    import numpy as np

    files = {name: str(scratch / f"{index}_{position}.npy") for position, name in enumerate(feed.inputs)}
    for name, file in files.items():
        np.save(file, feed.inputs[name], allow_pickle=False)
    return files


def _warm_up(worker: WorkerProcess, files: Mapping[str, str]) -> dict[str, float]:
    worker.ask("feed", files=files)
    return worker.ask("warm_up")  # type: ignore[no-any-return]  # JSON
