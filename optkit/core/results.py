"""What a run found, as frozen values: the content of `report.json` and of every page made from it.

Units stand in the names: seconds, milliseconds, bytes. Fractions are fractions, unrounded.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from optkit.core.gates import Estimate, Verdict  # noqa: TC001  # pydantic reads the annotations

REPORT_VERSION = 1


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with its two-sided 95 % interval.

    Attributes:
        value: What was measured.
        lower: Lower end.
        upper: Upper end.
    """

    value: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class SliceResult:
    """A metric on one slice of its data.

    Attributes:
        slicing: What the data is sliced by: `label`, or a name among the dataset's slices.
        slice: Which class or value.
        samples: How many of them; where there is none, there are no numbers.
        baseline: The original's value on them; None for metrics that are relative to it.
        candidate: The candidate's value on them.
        drop: How much worse the candidate is on them, with one-sided 95 % bounds.
        value: The candidate's value with one-sided 95 % bounds.
    """

    slicing: str
    slice: str
    samples: int
    baseline: Interval | None
    candidate: Interval
    drop: Estimate
    value: Estimate

    @property
    def title(self) -> str:
        """Both, such as `label=cat`."""
        return f"{self.slicing}={self.slice}"


@dataclass(frozen=True, slots=True)
class MetricResult:
    """A metric of a candidate, paired sample by sample with the baseline.

    Attributes:
        name: As in the recipe.
        kind: As in the recipe.
        data: Which part of the data.
        samples: How many.
        baseline: The original's value; None for metrics that are relative to it (agreement, cosine).
        candidate: The candidate's value.
        drop: How much worse the candidate is, with one-sided 95 % bounds.
        value: The candidate's value with one-sided 95 % bounds, which limits of the value itself are held against.
        higher_is_better: Which way the value improves.
        slices: The same on each slice that a gate asks for.
    """

    name: str
    kind: str
    data: str
    samples: int
    baseline: Interval | None
    candidate: Interval
    drop: Estimate
    value: Estimate | None = None
    higher_is_better: bool = True
    slices: tuple[SliceResult, ...] = ()


@dataclass(frozen=True, slots=True)
class OperatorTime:
    """What one operator took, or all operators of one type together.

    Attributes:
        name: The node (ONNX) or module (PyTorch) that it belongs to; empty if that is unknown, or this is about a type.
        operator: Its type in the graph that the runtime executes, after the runtime's own fusions.
        arithmetic: `int8`: computes on (or moves) 8-bit integers; `conversion`: converts to or from them; else `other`.
        calls: How often it runs in one run of the model.
        ms: Milliseconds of one run that it takes, all calls together; the median of the runs.
        share: Of the time of all operators.
    """

    name: str
    operator: str
    arithmetic: Literal["int8", "conversion", "other"]
    calls: int
    ms: float
    share: float


@dataclass(frozen=True, slots=True)
class Profile:
    """Where the time of a model goes, operator by operator; measured apart from the latency, which profiling disturbs.

    Attributes:
        runs: How many runs were profiled.
        ms: Milliseconds of one run that all operators take together; what lies between them is not counted.
        int8_share: Share of `ms` in operators that compute on 8-bit integers.
        conversion_share: Share of `ms` in operators that convert to or from 8-bit integers.
        count: How many operators there are.
        operators: The slowest, slowest first; 20 at most.
        types: The types of operator that take most, first; 20 at most.
    """

    runs: int
    ms: float
    int8_share: float
    conversion_share: float
    count: int
    operators: tuple[OperatorTime, ...]
    types: tuple[OperatorTime, ...]


@dataclass(frozen=True, slots=True)
class SweepPoint:
    """How a model did in one of the settings that the recipe asked for.

    Attributes:
        batch: Samples per run.
        threads: Threads of each instance.
        instances: Processes that ran it at the same time.
        throughput: Samples per second of all instances together.
        p50_ms: Median latency of a run.
        p90_ms: 90th percentile; None with too few runs to say.
        p99_ms: 99th percentile; None with too few runs to say.
        joules: Energy of the CPU packages per sample; None if unknown.
    """

    batch: int
    threads: int
    instances: int
    throughput: float
    p50_ms: float
    p90_ms: float | None
    p99_ms: float | None
    joules: float | None


@dataclass(frozen=True, slots=True)
class Timing:
    """How fast one model ran in its own process.

    Attributes:
        runtime: Its runtime.
        threads: Threads of the session.
        sizes: Dynamic dimension → size that was timed.
        p50_ms: Median latency.
        p90_ms: 90th percentile; None with too few samples to say.
        p99_ms: 99th percentile; None with too few samples to say.
        samples_ms: Every timed run, round by round, one start after the other.
        throughput: Batch size → samples per second.
        load_seconds: From nothing to a session, in the first start.
        first_ms: The first run of that.
        peak_rss_bytes: Peak resident memory of the process.
        profile: Where its time goes; None if the runtime does not tell.
        starts: How often its process was started; bounds of one start do not cover what differs between two.
        measuring_seconds: Of the whole measurement, loading and profiling included, for each candidate of it.
        sweep: The model in other settings, where the recipe asks for them.
    """

    runtime: str
    threads: int
    sizes: dict[str, int]
    p50_ms: float
    p90_ms: float | None
    p99_ms: float | None
    samples_ms: tuple[tuple[float, ...], ...]
    throughput: dict[int, float]
    load_seconds: float
    first_ms: float
    peak_rss_bytes: int
    profile: Profile | None = None
    starts: int = 1
    measuring_seconds: float = 0.0
    sweep: tuple[SweepPoint, ...] = ()


@dataclass(frozen=True, slots=True)
class BaselineResult:
    """The original model.

    Attributes:
        name: What the report calls it.
        runtime: What runs it.
        digest: Its artifact.
        size_bytes: Of its fp32 ONNX, external data included.
        timing: None if nothing was timed.
    """

    name: str
    runtime: str
    digest: str
    size_bytes: int
    timing: Timing | None


@dataclass(frozen=True, slots=True)
class CandidateResult:
    """One leaf of the plan, measured and judged.

    Attributes:
        name: The leaf's step id.
        target: What it is made for.
        digest: Its artifact.
        size_bytes: External data included.
        size_ratio: To the baseline's fp32 ONNX.
        metrics: In the recipe's order.
        timing: None if it could not be timed.
        speedup: Baseline's median latency over the candidate's.
        untimed: Why it was not timed.
        verdicts: One per rule.
        approved: Whether every verdict is accepted.
        packages: Emitter → path below the output folder.
    """

    name: str
    target: str
    digest: str
    size_bytes: int
    size_ratio: float
    metrics: tuple[MetricResult, ...]
    timing: Timing | None
    speedup: Estimate | None
    untimed: str
    verdicts: tuple[Verdict, ...]
    approved: bool
    packages: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Choice:
    """Which approved candidates were kept, where the recipe chooses: a decision that holds for one machine class.

    Attributes:
        objective: What it was made by.
        kept: The candidates that were packaged.
        why: In a sentence.
        left_out: Candidate → why it was not kept.
        machine: Fingerprint of the machine class that the times are of.
    """

    objective: str
    kept: tuple[str, ...]
    why: str
    left_out: dict[str, str]
    machine: str


@dataclass(frozen=True, slots=True)
class StepResult:
    """One executed or cached step.

    Attributes:
        name: Its id in the recipe.
        pass_name: What it does.
        options: Those of the pass, defaults included.
        inputs: Role → digest.
        digest: Of what it made.
        key: Under which that is cached.
        cached: Whether it was there already.
        seconds: Of the run that made it.
        peak_rss_bytes: Largest resident memory of that run.
        notes: What the pass has to say: its own form.
        size_bytes: Of the ONNX model that it made, external data included; None if it made none.
        operators: Of that model: operator → nodes, the most frequent first.
    """

    name: str
    pass_name: str
    options: dict[str, Any]
    inputs: dict[str, str]
    digest: str
    key: str
    cached: bool
    seconds: float
    peak_rss_bytes: int
    notes: dict[str, Any]
    size_bytes: int | None = None
    operators: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a run happened and with what.

    Attributes:
        versions: Distribution → version.
        python: Version of Python.
        platform: Operating system and architecture.
        cpu: Model name.
        cpu_flags: Features.
        cores: How many.
        sources: Source name → digest.
        seed: Of everything that is drawn at random.
    """

    versions: dict[str, str]
    python: str
    platform: str
    cpu: str
    cpu_flags: tuple[str, ...]
    cores: int
    sources: dict[str, str]
    seed: int


@dataclass(frozen=True, slots=True)
class RunReport:
    """Everything about a run of `optkit optimize`.

    Attributes:
        version: Of this format: within a version, fields are only added.
        recipe: Name of the recipe.
        recipe_sha256: Of the recipe file.
        started: ISO 8601, UTC.
        seconds: The whole run.
        outcome: approved if at least one candidate is.
        baseline: What candidates are compared with.
        candidates: The leaves of the plan.
        steps: In the order in which they ran.
        provenance: Where, and with what.
        remarks: What a reader must know.
        class_names: Output → name per class index, for whoever packages the run again.
        skipped: Target of the recipe → why nothing was made for it.
        choice: None where every approved candidate is packaged.
        command: What to type in the recipe's folder to run it again.
    """

    version: Literal[1]
    recipe: str
    recipe_sha256: str
    started: str
    seconds: float
    outcome: Literal["approved", "refused"]
    baseline: BaselineResult
    candidates: tuple[CandidateResult, ...]
    steps: tuple[StepResult, ...]
    provenance: Provenance
    remarks: tuple[str, ...] = ()
    class_names: dict[str, tuple[str, ...]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    choice: Choice | None = None
    command: tuple[str, ...] = ()
