"""Judges a candidate against the same candidate of the last release.

Times are compared as speed-ups: the original is timed in both runs, so that what the machine did then and does now
cancels. Losses of accuracy are compared as losses against the original, where the original is the same.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from optkit.core.estimates import difference, quotient
from optkit.core.gates import Estimate, Gate, Verdict, judge
from optkit.core.linking import DATA
from optkit.report import format as fmt

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from optkit.core.release import Release, ReleasedCandidate, ReleasedMetric
    from optkit.core.results import BaselineResult, CandidateResult, Interval, MetricResult

RULE = "max_regression"
DEFAULTS = {"latency": 0.1, "size": 0.01, "memory": 0.1}
"""What may be lost where the recipe does not say; of a metric, its `max_drop`."""
Found: TypeAlias = "tuple[Estimate | str, str]"
"""What regressed by how much, or why that is unknown; and the numbers for people."""


def regressions(
    gates: Mapping[str, Gate],
    release: Release,
    original: BaselineResult,
    sources: Mapping[str, str],
    now: CandidateResult,
) -> list[Verdict]:
    """Judges every `max_regression` of a recipe, and the defaults for what the release holds.

    Args:
        gates: By metric name, latency, size or memory.
        release: The baseline file.
        original: Of this run.
        sources: Source → digest, of this run.
        now: The candidate; its verdicts are not looked at.
    """
    then, found = release.candidates.get(now.name), losses(release, original, sources, now)
    verdicts = []
    for name, gate in _limits(gates, then).items():
        why = f"the baseline holds no {name} of {now.name}" if then else f"the baseline holds no candidate {now.name}"
        estimate, remark = found.get(name, (why, ""))
        (verdict,) = judge(name, gate, {RULE: estimate})
        verdicts.append(replace(verdict, reason="; ".join(filter(None, (verdict.reason, remark)))))
    return verdicts


def losses(
    release: Release, original: BaselineResult, sources: Mapping[str, str], now: CandidateResult
) -> dict[str, Found]:
    """Returns metric, latency, size or memory → what a candidate lost since the release; arguments as above."""
    then = release.candidates.get(now.name)
    if then is None:
        return {}
    return dict(_losses(then, release, now, sources, same_original=release.original == original.digest))


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
    then: ReleasedCandidate, release: Release, now: CandidateResult, sources: Mapping[str, str], *, same_original: bool
) -> Iterator[tuple[str, Found]]:
    sizes = f"{fmt.size(now.size_bytes)}, {fmt.size(then.size_bytes)} in the baseline"
    yield "size", (_growth(then.size_bytes, now.size_bytes), sizes)
    yield "latency", _latency(then, now)
    yield "memory", _memory(then, now)
    for metric in now.metrics:
        before, part = then.metrics.get(metric.name), DATA + metric.data
        if before is None:
            continue
        if before.kind != metric.kind:
            yield metric.name, (f"it was of kind {before.kind} in the baseline", "")
        elif release.sources.get(part) != sources.get(part):
            yield metric.name, (f"{part} is not what the baseline was judged on", "")
        else:
            same_model = now.digest == then.digest
            yield metric.name, _metric(metric, before, same_original=same_original, same_model=same_model)


def _metric(metric: MetricResult, before: ReleasedMetric, *, same_original: bool, same_model: bool) -> Found:
    was = fmt.interval(before.value, before.kind)
    remark = f"{fmt.interval(metric.candidate, metric.kind)}, {was} in the baseline"
    if not same_original:
        return _values_apart(metric, before), remark
    lost = difference(metric.drop, _estimate(before.drop))
    # The same bytes on the same samples: whatever differs is no matter of chance.
    return (Estimate.exact(lost.value) if same_model else lost), remark


def _latency(then: ReleasedCandidate, now: CandidateResult) -> Found:
    if now.timing is None or now.speedup is None:
        return now.untimed or "it was not timed", ""
    if then.timing is None:
        return "the baseline holds no timing of it", ""
    conditions = [(timing.runtime, timing.threads, timing.sizes) for timing in (then.timing, now.timing)]
    if conditions[0] != conditions[1]:
        before, after = (_conditions(*each) for each in conditions)
        return f"it was timed with {before} then and with {after} now", ""
    slower = quotient(_estimate(then.timing.speedup), now.speedup)
    lost = Estimate(slower.value - 1, slower.lower - 1, slower.upper - 1)
    before = fmt.speedup(_estimate(then.timing.speedup)).removeprefix("speed-up ")
    return lost, f"{fmt.speedup(now.speedup)}, {before} in the baseline"


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


def _values_apart(metric: MetricResult, before: ReleasedMetric) -> Estimate | str:
    """Returns the loss between two candidates whose originals differ, such as before and after a training."""
    if metric.baseline is None:
        return "the original is another one, and this metric compares with it"
    pair = _estimate(before.value), _estimate(metric.candidate)
    return difference(*pair) if metric.higher_is_better else difference(*reversed(pair))


def _estimate(interval: Interval) -> Estimate:
    return Estimate(interval.value, interval.lower, interval.upper)
