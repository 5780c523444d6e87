"""Numbers and texts as people read them; the tables of Markdown and of the terminal share these."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optkit.core.gates import Estimate
    from optkit.core.results import Interval, MetricResult, Timing

NONE = "-"
_PERCENT_KINDS = frozenset({"accuracy", "agreement"})
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_STEP = 1024
_UNIT_FROM = 1000
_PLAIN = 1e9  # above, an exponent reads better


def clean(text: str) -> str:
    """Returns a text that is safe in XML, Markdown and a terminal: what cannot be printed is spelled as an escape."""
    return "".join(char if char.isprintable() or char in "\n\t" else _escaped(char) for char in text)


def one_line(text: str) -> str:
    """Returns a text for a table cell."""
    return clean(" ".join(text.split()))


def number(value: float) -> str:
    """Returns a number with four significant digits, or to the unit if it has more."""
    if not math.isfinite(value):
        return _non_finite(value)
    return f"{value:.0f}" if _UNIT_FROM <= abs(value) < _PLAIN else f"{value:.4g}"


def size(count: float | None) -> str:
    """Returns bytes in binary units."""
    if count is None:
        return NONE
    unit = 0
    while abs(count) >= _STEP and unit < len(_UNITS) - 1:
        count, unit = count / _STEP, unit + 1
    return f"{count:.0f} {_UNITS[unit]}" if unit == 0 else f"{count:.2f} {_UNITS[unit]}"


def milliseconds(value: float | None) -> str:
    """Returns a latency; `-` if there were too few samples to say."""
    return NONE if value is None else f"{number(value)} ms"


def seconds(value: float) -> str:
    """Returns a duration."""
    minutes, rest = divmod(value, 60)
    return f"{minutes:.0f} min {math.floor(rest)} s" if minutes >= 1 else f"{value:.1f} s"


def rate(value: float | None) -> str:
    """Returns samples per second."""
    return NONE if value is None else f"{number(value)}/s"


def ratio(value: float | None) -> str:
    """Returns a factor, such as 0.25x."""
    return NONE if value is None else f"{value:.2f}x" if math.isfinite(value) else _non_finite(value)


def quotient(above: float | None, below: float | None) -> float | None:
    """Returns `above / below`; None where it has no meaning."""
    return above / below if above is not None and below else None


def is_share(kind: str) -> bool:
    """Returns whether a metric of this kind is shown in percent."""
    return kind in _PERCENT_KINDS


def interval(value: Interval, kind: str) -> str:
    """Returns a metric with its two-sided 95 % interval, in percent where the metric is a share."""
    if is_share(kind):
        return f"{_percent(value.value)} % [{_percent(value.lower)}, {_percent(value.upper)}]"
    return f"{number(value.value)} [{number(value.lower)}, {number(value.upper)}]"


def drop(metric: MetricResult) -> str:
    """Returns by how much a metric became worse, with one-sided 95 % bounds."""
    return loss(metric.drop, metric.kind)


def loss(lost: Estimate, kind: str) -> str:
    """Returns by how much a metric of some kind became worse, with one-sided 95 % bounds."""
    if not is_share(kind):
        return f"drop {estimate(lost)}"
    points = f"drop {_percent(lost.value)} points"
    return points if _exact(lost) else f"{points} [{_percent(lost.lower)}, {_percent(lost.upper)}]"


def speedup(value: Estimate | None) -> str:
    """Returns a speed-up with its bounds."""
    if value is None:
        return NONE
    bounds = "" if _exact(value) else f" [{ratio(value.lower)}, {ratio(value.upper)}]"
    return f"speed-up {ratio(value.value)}{bounds}"


def starts(timing: Timing) -> str:
    """Returns how many starts the bounds of a speed-up speak of, and what they cost."""
    took = f", {seconds(timing.measuring_seconds)} for each candidate" if timing.measuring_seconds else ""
    count = f"{timing.starts} starts" if timing.starts != 1 else "one start, beyond which its bounds do not hold"
    return f"in {count}{took}"


def estimate(value: Estimate) -> str:
    """Returns an estimate with its one-sided 95 % bounds; an exact number alone."""
    if _exact(value):
        return number(value.value)
    return f"{number(value.value)} [{number(value.lower)}, {number(value.upper)}]"


def _exact(value: Estimate) -> bool:
    return value.lower == value.value == value.upper


def _percent(value: float) -> str:
    # Adding 0 turns a rounded -0.0 into 0.0.
    return f"{round(100 * value, 2) + 0.0:.2f}" if math.isfinite(value) else _non_finite(value)


def _non_finite(value: float) -> str:
    return "NaN" if math.isnan(value) else "infinite" if value > 0 else "-infinite"


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode()
