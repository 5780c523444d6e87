"""From predictions to what a report says of a metric, on all samples and on each slice that a gate asks for."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from optkit.core.errors import UsageError
from optkit.core.gates import Estimate
from optkit.core.results import Interval, MetricResult, SliceResult
from optkit.core.validate import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from optkit.core.gates import Gate, SliceGate
    from optkit.core.recipe import MetricUse
    from optkit.core.sources import Source
    from optkit.measure.accuracy import AccuracyResult
    from optkit.measure.predictions import Predictions
    from optkit.measure.scores import Scores

_NOTHING = Interval(math.nan, math.nan, math.nan), Estimate(math.nan, math.nan, math.nan)


def check_part(use: MetricUse, each: Iterable[str], source: Source) -> None:
    """Refuses, before any work, a metric without the labels that it needs, and slices that the dataset does not have.

    Raises:
        UsageError: Says which.
    """
    from optkit.data.selection import has_labels, slicings_of

    if use.metric.needs_labels and not has_labels(source):
        raise UsageError(
            f"{use.kind} needs labels, and the dataset has none",
            hint="use `agreement`, `cosine` or `sqnr`, which compare with the baseline",
        )
    known = slicings_of(source)
    for slicing in each:
        if slicing not in known:
            hint = did_you_mean(slicing, known) or "name them in its dataset.yaml, as in slices: {region: region}"
            raise UsageError(f"the dataset has no slices {slicing!r}", hint=hint)


def metric_result(
    use: MetricUse, baseline: Predictions, candidate: Predictions, gate: Gate, classes: Sequence[str] = ()
) -> MetricResult:
    """Returns a metric of `candidate` against `baseline`.

    Args:
        use: The metric.
        baseline: What the original said.
        candidate: What the candidate said of the same samples.
        gate: What is demanded: decides what is said of further samples, and which slices are looked at.
        classes: Names of the classes, by number.

    Raises:
        UsageError: The metric or a slicing does not fit the outputs or the labels.
        StepFailed: The user's own code raises.
    """
    from optkit.measure.accuracy import judge, score_both

    scores = score_both(use.metric, baseline, candidate)
    found = judge(use.name, use.metric, *scores)
    return MetricResult(
        name=use.name,
        kind=use.kind,
        data=use.data,
        samples=found.count,
        baseline=_baseline(use, found),
        candidate=Interval(found.candidate, *found.candidate_interval),
        drop=_drop(found, gate),
        value=_value(found, gate),
        higher_is_better=use.metric.sign > 0,
        slices=tuple(_slices(use, baseline, scores, gate, classes)),
    )


def _slices(
    use: MetricUse, predictions: Predictions, scores: tuple[Scores, Scores], gate: Gate, classes: Sequence[str]
) -> Iterator[SliceResult]:
    from optkit.measure.accuracy import judge
    from optkit.measure.slicing import slicing_of

    for by, demanded in gate.each.items():
        for name, samples in slicing_of(predictions, by, classes).parts():
            before, after = (each.of_samples(samples) for each in scores)
            if not len(before):
                yield SliceResult(by, name, 0, None, _NOTHING[0], _NOTHING[1], _NOTHING[1])
                continue
            found = judge(use.name, use.metric, before, after)
            candidate = Interval(found.candidate, *found.candidate_interval)
            drop, value = _drop(found, demanded), _value(found, demanded)
            yield SliceResult(by, name, found.count, _baseline(use, found), candidate, drop, value)


def _baseline(use: MetricUse, found: AccuracyResult) -> Interval | None:
    return None if use.metric.relative else Interval(found.baseline, *found.baseline_interval)


def _drop(found: AccuracyResult, gate: Gate | SliceGate) -> Estimate:
    needed = None if gate.max_drop is None else found.samples_to_settle(gate.max_drop)
    return Estimate(found.drop, found.drop_lower, found.drop_upper, needed, found.count, found.note)


def _value(found: AccuracyResult, gate: Gate | SliceGate) -> Estimate:
    limits = [(limit, upper) for limit, upper in ((gate.min, False), (gate.max, True)) if limit is not None]
    needed = [found.samples_to_settle_value(limit, upper=upper) for limit, upper in limits]
    most = max((each for each in needed if each is not None), default=None)
    return Estimate(found.candidate, *found.candidate_bounds, most, found.count, found.note)
