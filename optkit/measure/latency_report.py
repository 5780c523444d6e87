"""What a latency measurement takes and gives: plain values, raw samples included."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from optkit.core.errors import OptkitError
    from optkit.core.results import Profile
    from optkit.measure.statistics import Interval


@dataclass(frozen=True, slots=True)
class Subject:
    """What is timed.

    Attributes:
        name: As the report calls it; unique.
        runtime: Name of the runtime that opens it.
        folder: The model artifact.
        threads: Threads that the runtime may use.
    """

    name: str
    runtime: str
    folder: Path
    threads: int


@dataclass(frozen=True, slots=True)
class Feed:
    """Inputs that all subjects are timed on.

    Attributes:
        batch: Samples in them.
        inputs: In the model's layout.
    """

    batch: int
    inputs: Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Timing:
    """One subject on one feed.

    Attributes:
        samples: Raw nanoseconds: turns, each with its runs; two turns are a round. One start after the other.
        percentiles: p50, p90, p99 → milliseconds, for those that the number of runs supports.
        throughput: Samples per second at the median.
    """

    samples: tuple[tuple[int, ...], ...]
    percentiles: Mapping[str, float]
    throughput: float


@dataclass(frozen=True, slots=True)
class Speedup:
    """The baseline's typical time over a candidate's, with two bounds of it, each at 95 % confidence."""

    ratio: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class FeedResult:
    """All subjects on one feed.

    Attributes:
        batch: Samples per run.
        timings: Subject name → its times.
        speedups: Candidate name → against the baseline.
        settled: Whether every interval became as narrow as asked before the time was up.
    """

    batch: int
    timings: Mapping[str, Timing]
    speedups: Mapping[str, Speedup]
    settled: bool


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """What a subject's process used.

    Attributes:
        load_s: Seconds to import the runtime and load the model, in the first start.
        first_run_s: Seconds of the first run of that.
        peak_rss: Largest resident memory in bytes, over all feeds and starts.
    """

    load_s: float
    first_run_s: float
    peak_rss: int


@dataclass(frozen=True, slots=True)
class LatencyReport:
    """Everything measured.

    Attributes:
        feeds: One result per feed.
        processes: Subject name → what its process used.
        cpus: Those that all processes were pinned to; none if they were not.
        failed: Candidate → what became of it; it is in neither `feeds` nor `processes`.
        starts: How many starts the bounds speak of; one says nothing of what differs between two.
        seconds: That everything took, loading and profiling included.
        profiles: Subject name → where its time goes, or why that is unknown; empty if it was not asked for.
    """

    feeds: tuple[FeedResult, ...]
    processes: Mapping[str, ProcessFacts]
    cpus: tuple[int, ...]
    failed: Mapping[str, OptkitError]
    starts: int
    seconds: float
    profiles: Mapping[str, Profile | str] = field(default_factory=dict)

    def raise_failure(self) -> None:
        """Raises what became of the first candidate that failed, if one did."""
        for error in self.failed.values():
            raise error


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a measurement is: the share of it done (0 to 1) and what it is at."""

    fraction: float
    text: str
