"""What passes noted, read with care: a note may come from a plugin, or from an earlier version."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from optkit.core.results import RunReport, StepResult


def noted(report: RunReport, name: str) -> Iterator[tuple[StepResult, list[Mapping[str, Any]]]]:
    """Yields each step that noted a list of records under `name`, with those records, unless there are none."""
    for step in report.steps:
        found = records(step.notes.get(name))
        if found:
            yield step, found


def records(value: object) -> list[Mapping[str, Any]]:
    """Returns the mappings in a list; anything else holds none."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list | tuple) else []


def mapping(value: object) -> Mapping[str, Any]:
    """Returns a mapping; anything else is an empty one."""
    return value if isinstance(value, dict) else {}


def number(record: Mapping[str, Any], name: str) -> float | None:
    """Returns a finite number of a record, or None."""
    value = record.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def text(record: Mapping[str, Any], name: str) -> str:
    """Returns a text of a record; what is none is spelled."""
    value = record.get(name)
    return "" if value is None else str(value)
