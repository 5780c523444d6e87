"""Gates: what a candidate must hold, and the only way to an `Approved`.

Every comparison is written so that NaN fails, and is made on unrounded numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from optkit.core.errors import GateFailed
from optkit.core.schema import STRICT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from optkit.core.artifact import Artifact


@dataclass(frozen=True, slots=True)
class SliceGate:
    """What is demanded of a metric on each slice of its data, by itself."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    max_drop: float | None = None
    """Largest loss against the baseline on these samples."""
    min: float | None = None
    """Smallest value of the metric on these samples."""
    max: float | None = None
    """Largest value of the metric on these samples."""
    inconclusive: Literal["fail", "pass"] = "fail"
    """What to do where a slice has too few samples to tell."""
    unmeasured: Literal["fail", "pass"] = "fail"
    """What to do where a class has no sample at all."""

    def rules(self) -> dict[str, float]:
        """Returns rule → limit for each rule that is set."""
        return _set_rules(self)


@dataclass(frozen=True, slots=True)
class Gate:
    """What is demanded of one metric, or of `latency`, `size` or `memory`."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    max_drop: float | None = None
    """Largest loss against the baseline, in the metric's unit (a fraction for accuracy)."""
    min: float | None = None
    """Smallest value of the metric itself."""
    max: float | None = None
    """Largest value of the metric itself."""
    min_speedup: float | None = None
    """Smallest p50 speed-up over the baseline (latency only)."""
    max_ratio: float | None = None
    """Largest ratio to the baseline (size and memory only)."""
    max_regression: float | None = None
    """Largest loss against the last release (`--baseline FILE`): a fraction; of a metric, in its unit."""
    inconclusive: Literal["fail", "pass"] = "fail"
    """What to do when the measurement cannot tell."""
    unmeasured: Literal["fail", "pass"] = "fail"
    """What to do when it could not be measured, as on an absent device."""
    each: dict[str, SliceGate] = field(default_factory=dict)
    """What each slice of the data must hold: `label` slices by class, other names are the dataset's `slices`."""

    def rules(self) -> dict[str, float]:
        """Returns rule → limit for each rule that is set."""
        return _set_rules(self)


def _set_rules(gate: Gate | SliceGate) -> dict[str, float]:
    limits = {rule: getattr(gate, rule, None) for rule in RULES}
    return {rule: limit for rule, limit in limits.items() if limit is not None}


@dataclass(frozen=True, slots=True)
class Rule:
    """How a limit is compared: `upper` limits bound from above."""

    upper: bool
    subjects: frozenset[str]


_METRIC, _LATENCY, _SIZE, _MEMORY = "metric", "latency", "size", "memory"
RULES: dict[str, Rule] = {
    "max_drop": Rule(upper=True, subjects=frozenset({_METRIC})),
    "min": Rule(upper=False, subjects=frozenset({_METRIC})),
    "max": Rule(upper=True, subjects=frozenset({_METRIC})),
    "min_speedup": Rule(upper=False, subjects=frozenset({_LATENCY})),
    "max_ratio": Rule(upper=True, subjects=frozenset({_SIZE, _MEMORY})),
    "max_regression": Rule(upper=True, subjects=frozenset({_METRIC, _LATENCY, _SIZE, _MEMORY})),
}
BUILT_IN_SUBJECTS = (_LATENCY, _SIZE, _MEMORY)


class Status(StrEnum):
    """What a gate says."""

    PASSED = "passed"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"
    UNMEASURED = "unmeasured"


@dataclass(frozen=True, slots=True)
class Estimate:
    """A measured number with its one-sided 95 % bounds; an exact number bounds itself.

    Attributes:
        value: What was measured.
        lower: Lower bound.
        upper: Upper bound.
        samples_needed: How many samples would settle an inconclusive verdict, where that is known.
        samples: How many there are, where a verdict may need more.
        note: Why the number or a bound is missing.
    """

    value: float
    lower: float
    upper: float
    samples_needed: int | None = None
    samples: int | None = None
    note: str = ""

    @classmethod
    def exact(cls, value: float) -> Estimate:
        """Returns an estimate without uncertainty."""
        return cls(value, value, value)


@dataclass(frozen=True, slots=True)
class Verdict:
    """One rule of one gate, judged.

    Attributes:
        gate: The metric's name, or latency, size, memory.
        rule: Key of `RULES`.
        limit: The recipe's number.
        estimate: What was measured; None if nothing was.
        status: The outcome.
        accepted: Whether the recipe lets this status pass.
        reason: Why nothing was measured, or how to settle an inconclusive verdict.
        slice: The part of the data that it is about, such as `label=cat`; empty for all of it.
    """

    gate: str
    rule: str
    limit: float
    estimate: Estimate | None
    status: Status
    accepted: bool
    reason: str = ""
    slice: str = ""

    @property
    def title(self) -> str:
        """What was judged, such as `top1.max_drop` or `top1[label=cat].max_drop`."""
        return f"{self.gate}{f'[{self.slice}]' if self.slice else ''}.{self.rule}"

    def __str__(self) -> str:
        if self.estimate is None:
            return f"{self.title} {self.limit:g}: {self.status} ({self.reason})"
        low, high = self.estimate.lower, self.estimate.upper
        bounds = "" if low == high else f" (95 % bounds {self._shown(low)} … {self._shown(high)})"
        reason = f"; {self.reason}" if self.reason else ""
        value = self._shown(self.estimate.value)
        return f"{self.title} {self.limit:g}: {self.status}, measured {value}{bounds}{reason}"

    def _shown(self, number: float) -> str:
        """Returns six digits, or all of them where six would make a number look equal to the limit."""
        text = f"{number:.6g}"
        return text if number == self.limit or text != f"{self.limit:.6g}" else repr(number)


@dataclass(frozen=True, slots=True)
class Approved:
    """A candidate that holds every gate. Only `approve` makes one; packaging takes nothing else."""

    candidate: str
    artifact: Artifact
    verdicts: tuple[Verdict, ...]


def judge(name: str, gate: Gate | SliceGate, measured: Mapping[str, Estimate | str], part: str = "") -> list[Verdict]:
    """Judges each rule of a gate.

    Args:
        name: The gate's name.
        gate: Its limits.
        measured: Rule → estimate, or the reason why it could not be measured.
        part: The slice of the data that it was measured on, if not all of it.
    """
    verdicts = [_judge(name, gate, rule, limit, measured[rule]) for rule, limit in gate.rules().items()]
    return [replace(verdict, slice=part) for verdict in verdicts]


def judge_again(verdict: Verdict) -> Verdict:
    """Returns the verdict that its recorded numbers give, whatever status stands beside them."""
    if verdict.estimate is None:
        return replace(verdict, status=Status.UNMEASURED)
    status = _compare(verdict.estimate, verdict.limit, upper=RULES[verdict.rule].upper)
    accepted = status is Status.PASSED or (
        status is verdict.status and verdict.accepted and status is not Status.FAILED
    )
    return replace(verdict, status=status, accepted=accepted)


def _judge(name: str, gate: Gate | SliceGate, rule: str, limit: float, measured: Estimate | str) -> Verdict:
    if isinstance(measured, str):
        return Verdict(name, rule, limit, None, Status.UNMEASURED, gate.unmeasured == "pass", measured)
    status = _compare(measured, limit, upper=RULES[rule].upper)
    accepted = status is Status.PASSED or (status is Status.INCONCLUSIVE and gate.inconclusive == "pass")
    reason = measured.note or (_how_to_settle(measured) if status is Status.INCONCLUSIVE else "")
    return Verdict(name, rule, limit, measured, status, accepted, reason)


def _how_to_settle(measured: Estimate) -> str:
    needed, there = measured.samples_needed, measured.samples
    if needed is None:
        return ""
    if there is None:
        return f"about {needed} samples would settle it"
    return f"about {needed - there} more samples would settle it, {needed} in all"


def _compare(estimate: Estimate, limit: float, *, upper: bool) -> Status:
    value, low, high = (estimate.value, estimate.lower, estimate.upper)
    if not upper:
        value, low, high, limit = -value, -high, -low, -limit
    if any(number != number for number in (value, low, high, limit)):  # noqa: PLR0124  # only NaN is unequal to itself
        return Status.FAILED
    if high <= limit:
        return Status.PASSED
    return Status.FAILED if low > limit else Status.INCONCLUSIVE


def approve(candidate: str, artifact: Artifact, verdicts: Sequence[Verdict]) -> Approved:
    """Returns the approved candidate.

    Raises:
        GateFailed: A verdict is not accepted; the message names each with its numbers.
    """
    refused = [verdict for verdict in verdicts if not verdict.accepted]
    if refused:
        lines = "\n".join(f"  {verdict}" for verdict in refused)
        raise GateFailed(f"{candidate} is not approved:\n{lines}")
    return Approved(candidate, artifact, tuple(verdicts))
