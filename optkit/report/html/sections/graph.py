"""The graph before and after: operators per step, what was fused, what nearly was, and what runs in int8."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from optkit.report import format as show
from optkit.report.html.blocks import Section, bullets, folded, section, table
from optkit.report.html.markup import element, joined
from optkit.report.html.notes import mapping, number, records, text
from optkit.report.tables import Row, Sheet

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from optkit.core.results import RunReport, StepResult
    from optkit.report.html.markup import Markup

_SHOWN = 12
"""Operators that are shown at once, the most frequent first."""


def graph(report: RunReport) -> Section | None:
    """Returns what the steps did to the graph."""
    steps = [step for step in report.steps if step.operators]
    if not steps:
        return None
    return section(
        "graph", "Graph", _lead(steps), _operators(steps),
        *(part for step in report.steps for part in _rewrites(step)), *(_int8(step) for step in report.steps),
    )  # fmt: skip


def _lead(steps: Sequence[StepResult]) -> str:
    first, last = sum(steps[0].operators.values()), sum(steps[-1].operators.values())
    return f"From {first} nodes after {steps[0].name} to {last} after {steps[-1].name}, operator by operator."


def _operators(steps: Sequence[StepResult]) -> Markup:
    totals: dict[str, int] = {}
    for step in steps:
        for operator, count in step.operators.items():
            totals[operator] = max(totals.get(operator, 0), count)
    names = sorted(totals, key=lambda name: (-totals[name], name))
    total = Row(("all nodes", *(str(sum(step.operators.values())) for step in steps)))
    lines = [total, *(_line(name, steps) for name in names)]
    header = ("operator", *(show.one_line(step.name) for step in steps))
    whole = table(Sheet(header, tuple(lines)), "Operators after each step")
    if len(names) <= _SHOWN:
        return whole
    top = table(Sheet(header, tuple(lines[: _SHOWN + 1])), "The most frequent operators after each step")
    return joined([top, folded(f"All {len(names)} operators", whole)])


def _line(operator: str, steps: Sequence[StepResult]) -> Row:
    counts = [step.operators.get(operator, 0) for step in steps]
    return Row((show.one_line(operator), *(str(count) if count else "·" for count in counts)))


def _rewrites(step: StepResult) -> Iterator[Markup]:
    fused, simplified = mapping(step.notes.get("fuse")), mapping(step.notes.get("simplify"))
    lines = [f"{pattern}: {count} fused" for pattern, count in mapping(fused.get("matched")).items()]
    lines += [f"{text(each, 'rewrite')}: {_removed(each)} removed" for each in records(simplified.get("removed"))]
    for note in (fused, simplified):
        lines += [f"{name} left out: {why}" for name, why in mapping(note.get("left_out")).items()]
    if lines:
        yield element("h3", f"What {step.name} did")
        yield bullets([show.one_line(line) for line in lines]) or element("p")
    misses = records(fused.get("near_misses"))
    if misses:
        names = ("pattern", "node", "source", "reason")
        found = [Row(tuple(show.one_line(text(miss, name)) for name in names)) for miss in misses]
        yield folded(
            f"{step.name}: {len(misses)} near miss{'es' if len(misses) > 1 else ''}",
            table(Sheet(("pattern", "at node", "line of the model", "why not"), tuple(found)), "Near misses"),
        )


def _removed(record: Mapping[str, Any]) -> str:
    counts = {unit: number(record, f"{unit}s") or 0 for unit in ("node", "weight")}
    return (
        " and ".join(f"{count:.0f} {unit}{'s' * (count != 1)}" for unit, count in counts.items() if count) or "nothing"
    )


def _int8(step: StepResult) -> Markup | None:
    noted = mapping(step.notes.get("int8_nodes"))
    counts = {operator: count for operator, count in noted.items() if _is_pair(count)}
    if not counts:
        return None
    lines = [Row((show.one_line(operator), str(int8), str(every))) for operator, (int8, every) in counts.items()]
    title = f"What the runtime computes in int8 after {step.name}"
    return joined([element("h3", title), table(Sheet(("operator", "in int8", "in all"), tuple(lines)), title)])


def _is_pair(value: object) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2 and all(isinstance(each, int) for each in value)  # noqa: PLR2004  # int8, all
