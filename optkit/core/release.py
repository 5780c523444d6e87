"""What a baseline file holds: the numbers of the last release, which later runs must not fall behind.

It is small, is committed beside the recipe, and changes only where a number does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from optkit.core.results import Interval  # noqa: TC001  # pydantic reads the annotations

FORMAT: Literal["optkit-baseline"] = "optkit-baseline"
VERSION: Literal[1] = 1


@dataclass(frozen=True, slots=True)
class MachineClass:
    """What must be alike for times to be comparable.

    Attributes:
        cpu: The model's name.
        flags: Its features, sorted and apart by spaces.
        cores: How many.
        system: Operating system and architecture, such as `Linux x86_64`.
    """

    cpu: str
    flags: str
    cores: int
    system: str


@dataclass(frozen=True, slots=True)
class ReleasedMetric:
    """A metric of a released candidate; as in `MetricResult`, the bounds of `drop` are one-sided."""

    kind: str
    data: str
    samples: int
    value: Interval
    drop: Interval


@dataclass(frozen=True, slots=True)
class ReleasedTiming:
    """How fast a released candidate was.

    Attributes:
        runtime: What ran it.
        threads: Threads of its session.
        sizes: Dynamic dimension → size that was timed.
        p50_ms: Median latency, with its bounds over the rounds.
        middle_half_ms: Quartiles of all timed runs.
        speedup: The original's median latency over the candidate's.
        peak_rss_bytes: Peak memory of its process.
    """

    runtime: str
    threads: int
    sizes: dict[str, int]
    p50_ms: Interval
    middle_half_ms: tuple[float, float]
    speedup: Interval
    peak_rss_bytes: int


@dataclass(frozen=True, slots=True)
class ReleasedCandidate:
    """An approved candidate of the release; `timing` is None if its target could not be timed."""

    target: str
    digest: str
    size_bytes: int
    metrics: dict[str, ReleasedMetric]
    timing: ReleasedTiming | None


@dataclass(frozen=True, slots=True)
class Release:
    """The content of a baseline file.

    Attributes:
        format: Tells such a file from any other.
        version: Of the format.
        recipe: Name of the recipe.
        started: When the run began; ISO 8601, UTC.
        machine: Where it was timed.
        versions: Distribution → version, Python and optkit included.
        original: Digest of the original model.
        original_runtime: What ran the original.
        sources: Source (model, data.evaluation, …) → digest.
        candidates: Name → numbers.
    """

    format: Literal["optkit-baseline"]
    version: Literal[1]
    recipe: str
    started: str
    machine: MachineClass
    versions: dict[str, str]
    original: str
    original_runtime: str
    sources: dict[str, str]
    candidates: dict[str, ReleasedCandidate]
