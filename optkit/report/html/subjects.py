"""Who is compared: the baseline, which is series 0, and the candidates in the recipe's order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from optkit.report.format import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from optkit.core.results import RunReport, Timing


@dataclass(frozen=True, slots=True)
class Timed:
    """One model that was timed.

    Attributes:
        series: Its place among all subjects.
        name: As a reader sees it.
        timing: What was measured.
    """

    series: int
    name: str
    timing: Timing


def timed(report: RunReport) -> Iterator[Timed]:
    """Yields the models that were timed."""
    everyone = [(report.baseline.name, report.baseline.timing)]
    everyone += [(candidate.name, candidate.timing) for candidate in report.candidates]
    for series, (name, timing) in enumerate(everyone):
        if timing is not None:
            yield Timed(series, one_line(name), timing)
