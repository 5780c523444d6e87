"""Verdicts in words: what was demanded, what was measured, and by how much it was missed."""

from __future__ import annotations

import math

from optkit.core.gates import RULES, Status, Verdict
from optkit.report.format import NONE, estimate, number, one_line


def demand(verdict: Verdict) -> str:
    """Returns the limit with its direction, such as `<= 0.01`."""
    return f"{'<=' if RULES[verdict.rule].upper else '>='} {verdict.limit:.12g}"


def measured(verdict: Verdict) -> str:
    """Returns what was measured, with its bounds."""
    return NONE if verdict.estimate is None else estimate(verdict.estimate)


def decision(verdict: Verdict) -> str:
    """Returns the status in words; an accepted one that did not pass says so."""
    if verdict.accepted and verdict.status is not Status.PASSED:
        return f"{verdict.status}, accepted by the recipe"
    return str(verdict.status)


def remark(verdict: Verdict) -> str:
    """Returns by how much the limit was missed and why, or an empty text."""
    return "; ".join(text for text in (shortfall(verdict), one_line(verdict.reason)) if text)


def shortfall(verdict: Verdict) -> str:
    """Returns by how much the limit was missed, or an empty text.

    A failed gate is missed by its value; an inconclusive one by the bound that should have held the limit.
    """
    if verdict.estimate is None or verdict.status is Status.PASSED:
        return ""
    found, upper = verdict.estimate, RULES[verdict.rule].upper
    if any(math.isnan(value) for value in (found.value, found.lower, found.upper)):
        return "what was measured is not a number"
    sign = 1 if upper else -1
    if verdict.status is Status.FAILED:
        return f"missed by {number(sign * (found.value - verdict.limit))}"
    bound = found.upper if upper else found.lower
    return f"the 95 % bound {number(bound)} misses by {number(sign * (bound - verdict.limit))}"
