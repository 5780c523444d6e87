"""From measurements to verdicts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from optkit.core.gates import RULES, Estimate, Verdict, judge

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from optkit.core.gates import Gate
    from optkit.core.results import MetricResult, SliceResult, Timing


def verdicts(
    gates: Mapping[str, Gate],
    metrics: Sequence[MetricResult],
    size_ratio: float,
    speedup: Estimate | str,
    memory: tuple[Timing, Timing] | str,
) -> list[Verdict]:
    """Judges every gate of a recipe, but for what it demands against the last release.

    Args:
        gates: By metric name, latency, size or memory.
        metrics: What was found for each metric.
        size_ratio: Candidate's bytes over the fp32 ONNX's.
        speedup: Baseline's latency over the candidate's, or why it was not measured.
        memory: Timings of baseline and candidate, or why there are none.
    """
    measured: dict[str, Mapping[str, Estimate | str]] = {
        "latency": {"min_speedup": speedup},
        "size": {"max_ratio": Estimate.exact(size_ratio)},
        "memory": {"max_ratio": memory if isinstance(memory, str) else _memory_ratio(*memory)},
    }
    measured |= {metric.name: _of_metric(metric) for metric in metrics}
    slices = {metric.name: metric.slices for metric in metrics}
    found: list[Verdict] = []
    for name, gate in gates.items():
        found += judge(name, replace(gate, max_regression=None), measured[name])
        for part in slices.get(name, ()):
            if part.slicing in gate.each:
                found += judge(name, gate.each[part.slicing], _of_slice(part), part.title)
    return found


def _of_metric(metric: MetricResult | SliceResult) -> dict[str, Estimate | str]:
    interval = metric.candidate
    value = metric.value or Estimate(interval.value, interval.lower, interval.upper)
    return {"max_drop": metric.drop, "min": value, "max": value}


def _of_slice(part: SliceResult) -> dict[str, Estimate | str]:
    return _of_metric(part) if part.samples else dict.fromkeys(RULES, "the data holds no sample of it")


def _memory_ratio(baseline: Timing, candidate: Timing) -> Estimate:
    return Estimate.exact(candidate.peak_rss_bytes / baseline.peak_rss_bytes)
