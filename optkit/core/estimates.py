"""Arithmetic on estimates that were measured apart from each other.

Source: G. Y. Zou and A. Donner, Construction of confidence limits about effect measures: a general approach, Statistics
in Medicine 27 (2008), 1693-1702. It takes the two for independent: where they share samples, the bounds are too wide
rather than too narrow.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from optkit.core.gates import Estimate

if TYPE_CHECKING:
    from collections.abc import Callable


def difference(first: Estimate, second: Estimate) -> Estimate:
    """Returns `first - second`, with the bounds that follow from those of both."""
    value = first.value - second.value
    below = math.hypot(first.value - first.lower, second.upper - second.value)
    above = math.hypot(first.upper - first.value, second.value - second.lower)
    return Estimate(value, value - below, value + above)


def quotient(first: Estimate, second: Estimate) -> Estimate:
    """Returns `first / second` of two positive estimates, with the bounds that follow from those of both."""
    found = difference(_mapped(_log, first), _mapped(_log, second))
    return _mapped(math.exp, found)


def _log(value: float) -> float:
    return -math.inf if value == 0 else math.log(value)


def _mapped(function: Callable[[float], float], estimate: Estimate) -> Estimate:
    return Estimate(function(estimate.value), function(estimate.lower), function(estimate.upper))
