"""Judges a candidate against the same candidate of the last release.

Times are compared as speed-ups (the original is timed in both runs, so that what the machine did then and does now
cancels) and, on one machine class, in milliseconds; of both, the smaller loss counts. Losses of accuracy are compared
as losses against the original, where the original is the same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from optkit.core.estimates import difference, quotient
from optkit.core.gates import Estimate, Gate, Verdict, judge
from optkit.core.linking import DATA
from optkit.report import format as fmt
from optkit.workflow.releasing import p50_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from optkit.core.release import MachineClass, Release, ReleasedCandidate, ReleasedMetric
    from optkit.core.results import CandidateResult, Interval, MetricResult

RULE = "max_regression"
DEFAULTS = {"latency": 0.1, "size": 0.01, "memory": 0.1}
"""What may be lost where the recipe does not say; of a metric, its `max_drop`."""
Found: TypeAlias = "tuple[Estimate | str, str]"
"""What regressed by how much, or why that is unknown; and the numbers for people."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """What the numbers of a run rest on.

    Attributes:
        original: Digest of the original model.
        sources: Source → digest.
        machine: Where it was timed.
    """

    original: str
    sources: Mapping[str, str]
    machine: MachineClass


def regressions(gates: Mapping[str, Gate], release: Release, here: Conditions, now: CandidateResult) -> list[Verdict]:
    """Judges every `max_regression` of a recipe, and the defaults for what the release holds.

    Args:
        gates: By metric name, latency, size or memory.
        release: The baseline file.
        here: Conditions of this run.
        now: The candidate; its verdicts are not looked at.
    """
    then, found = release.candidates.get(now.name), losses(release, here, now)
    verdicts = []
    for name, gate in _limits(gates, then).items():
        why = f"the baseline holds no {name} of {now.name}" if then else f"the baseline holds no candidate {now.name}"
        estimate, remark = found.get(name, (why, ""))
        (verdict,) = judge(name, gate, {RULE: estimate})
        verdicts.append(replace(verdict, reason="; ".join(filter(None, (verdict.reason, remark)))))
    return verdicts


def losses(release: Release, here: Conditions, now: CandidateResult) -> dict[str, Found]:
    """Returns metric, latency, size or memory → what a candidate lost since the release; arguments as above."""
    then = release.candidates.get(now.name)
    return dict(_losses(then, release, here, now)) if then else {}


def _limits(gates: Mapping[str, Gate], then: ReleasedCandidate | None) -> dict[str, Gate]:
    """Returns the gates with nothing but their regression in them; a default stands for what the release holds."""
    held = {"size": DEFAULTS["size"]} if then else {}
    if then and then.timing:
        held |= DEFAULTS
    for name in then.metrics if then else ():
        drop = gates[name].max_drop if name in gates else None
        held |= {} if drop is None else {name: drop}
    limits: dict[str, Gate] = {}
    for name in (*gates, *(name for name in held if name not in gates)):
        gate = gates.get(name, Gate())
        limit = held.get(name) if gate.max_regression is None else gate.max_regression
        if limit is not None:
            limits[name] = Gate(max_regression=limit, inconclusive=gate.inconclusive, unmeasured=gate.unmeasured)
    return limits


def _losses(
    then: ReleasedCandidate, release: Release, here: Conditions, now: CandidateResult
) -> Iterator[tuple[str, Found]]:
    sizes = f"{fmt.size(now.size_bytes)}, {fmt.size(then.size_bytes)} in the baseline"
    yield "size", (_growth(then.size_bytes, now.size_bytes), sizes)
    yield "latency", _latency(then, now, same_machine=release.machine == here.machine)
    yield "memory", _memory(then, now)
    for metric in now.metrics:
        before, part = then.metrics.get(metric.name), DATA + metric.data
        if before is None:
            continue
        if before.kind != metric.kind:
            yield metric.name, (f"it was of kind {before.kind} in the baseline", "")
        elif release.sources.get(part) != here.sources.get(part):
            yield metric.name, (f"{part} is not what the baseline was judged on", "")
        elif release.original != here.original:
            yield metric.name, _values_apart(metric, before)
        else:
            yield metric.name, _metric(metric, before, same_model=now.digest == then.digest)


def _metric(metric: MetricResult, before: ReleasedMetric, *, same_model: bool) -> Found:
    lost = difference(metric.drop, _estimate(before.drop))
    # The same bytes on the same samples: whatever differs is no matter of chance.
    return (Estimate.exact(lost.value) if same_model else lost), _values(metric, before)


def _values(metric: MetricResult, before: ReleasedMetric) -> str:
    return f"{fmt.interval(metric.candidate, metric.kind)}, {fmt.interval(before.value, before.kind)} in the baseline"


def _latency(then: ReleasedCandidate, now: CandidateResult, *, same_machine: bool) -> Found:
    if now.timing is None or now.speedup is None:
        return now.untimed or "it was not timed", ""
    if then.timing is None:
        return "the baseline holds no timing of it", ""
    conditions = [(timing.runtime, timing.threads, timing.sizes) for timing in (then.timing, now.timing)]
    if conditions[0] != conditions[1]:
        before, after = (_conditions(*each) for each in conditions)
        return f"it was timed with {before} then and with {after} now", ""
    speedup, p50 = _estimate(then.timing.speedup), then.timing.p50_ms
    slower = [quotient(speedup, now.speedup)]
    remark = f"{fmt.speedup(now.speedup)}, {fmt.speedup(speedup).removeprefix('speed-up ')} in the baseline"
    if same_machine:
        slower.append(quotient(_estimate(p50_of(now.timing)), _estimate(p50)))
        remark += f"; p50 {fmt.milliseconds(now.timing.p50_ms)}, {fmt.milliseconds(p50.value)} in the baseline"
    # A slower candidate shows in both. A slower machine shows in the milliseconds alone, and an original that a new
    # version, or a less busy machine, made faster shows in the speed-up alone.
    least = min(slower, key=lambda ratio: ratio.value)
    return Estimate(least.value - 1, least.lower - 1, least.upper - 1), remark


def _conditions(runtime: str, threads: int, sizes: Mapping[str, int]) -> str:
    return ", ".join([runtime, f"threads={threads}", *(f"{name}={size}" for name, size in sizes.items())])


def _memory(then: ReleasedCandidate, now: CandidateResult) -> Found:
    if now.timing is None:
        return now.untimed or "it was not timed", ""
    if then.timing is None:
        return "the baseline holds no timing of it", ""
    before, after = then.timing.peak_rss_bytes, now.timing.peak_rss_bytes
    return _growth(before, after), f"{fmt.size(after)}, {fmt.size(before)} in the baseline"


def _growth(before: int, after: int) -> Estimate:
    return Estimate.exact((after - before) / before)


def _values_apart(metric: MetricResult, before: ReleasedMetric) -> Found:
    """Returns the loss between two candidates whose originals differ, such as before and after a training."""
    if metric.baseline is None:
        return "the original is another one, and this metric compares with it", ""
    pair = _estimate(before.value), _estimate(metric.candidate)
    return difference(*(pair if metric.higher_is_better else pair[::-1])), _values(metric, before)


def _estimate(interval: Interval) -> Estimate:
    return Estimate(interval.value, interval.lower, interval.upper)
