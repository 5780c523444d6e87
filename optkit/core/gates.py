"""Gates: what a candidate must hold, and the only way to an `Approved`.

Every comparison is written so that NaN fails, and is made on unrounded numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from optkit.core.errors import GateFailed
from optkit.core.schema import STRICT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from optkit.core.artifact import Artifact


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

    def rules(self) -> dict[str, float]:
        """Returns rule → limit for each rule that is set."""
        limits = {rule: getattr(self, rule) for rule in RULES}
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
    """A measured number with its one-sided 95 % bounds; an exact number bounds itself."""

    value: float
    lower: float
    upper: float
    samples_needed: int | None = None
    """How many samples would settle an inconclusive verdict, where that is known."""

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
    """

    gate: str
    rule: str
    limit: float
    estimate: Estimate | None
    status: Status
    accepted: bool
    reason: str = ""

    def __str__(self) -> str:
        if self.estimate is None:
            return f"{self.gate}.{self.rule} {self.limit:g}: {self.status} ({self.reason})"
        low, high = self.estimate.lower, self.estimate.upper
        bounds = "" if low == high else f" (95 % bounds {self._shown(low)} … {self._shown(high)})"
        reason = f"; {self.reason}" if self.reason else ""
        value = self._shown(self.estimate.value)
        return f"{self.gate}.{self.rule} {self.limit:g}: {self.status}, measured {value}{bounds}{reason}"

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


def judge(name: str, gate: Gate, measured: Mapping[str, Estimate | str]) -> list[Verdict]:
    """Judges each rule of a gate.

    Args:
        name: The gate's name.
        gate: Its limits.
        measured: Rule → estimate, or the reason why it could not be measured.
    """
    return [_judge(name, gate, rule, limit, measured[rule]) for rule, limit in gate.rules().items()]


def judge_again(verdict: Verdict) -> Verdict:
    """Returns the verdict that its recorded numbers give, whatever status stands beside them."""
    if verdict.estimate is None:
        return replace(verdict, status=Status.UNMEASURED)
    status = _compare(verdict.estimate, verdict.limit, upper=RULES[verdict.rule].upper)
    accepted = status is Status.PASSED or (
        status is verdict.status and verdict.accepted and status is not Status.FAILED
    )
    return replace(verdict, status=status, accepted=accepted)


def _judge(name: str, gate: Gate, rule: str, limit: float, measured: Estimate | str) -> Verdict:
    if isinstance(measured, str):
        return Verdict(name, rule, limit, None, Status.UNMEASURED, gate.unmeasured == "pass", measured)
    status = _compare(measured, limit, upper=RULES[rule].upper)
    accepted = status is Status.PASSED or (status is Status.INCONCLUSIVE and gate.inconclusive == "pass")
    needed = measured.samples_needed if status is Status.INCONCLUSIVE else None
    reason = f"about {needed} samples would settle it" if needed else ""
    return Verdict(name, rule, limit, measured, status, accepted, reason)


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
