"""The size of the model after each step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optkit.report import format as show
from optkit.report.html.blocks import Section, figure, section, table
from optkit.report.html.plot import draw, label, rows
from optkit.report.html.svg import colour
from optkit.report.tables import Row, Sheet

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.figure import Figure

    from optkit.core.results import RunReport, StepResult

_MOST = 24
"""Steps that are drawn; the table holds all."""
_SMALL = 0.35
"""A bar of less than this share has its label beside it."""


def size(report: RunReport) -> Section | None:
    """Returns the waterfall of sizes, step by step."""
    steps = [step for step in report.steps if step.size_bytes]
    if not steps:
        return None
    smallest = min(report.candidates, key=lambda each: each.size_bytes)
    lead = f"{smallest.name} takes {show.size(smallest.size_bytes)}, {show.ratio(smallest.size_ratio)} of fp32 ONNX."
    before = _before(steps)
    drawing = draw("size-steps", 16 + 27 * len(steps[:_MOST]), "Model size after each step",
                   "; ".join(f"{step.name}: {show.size(step.size_bytes)}" for step in steps),
                   lambda canvas: _paint(canvas, steps[:_MOST], before))  # fmt: skip
    caption = "Size after each step, weights included. Striped is what the step took away."
    return section("size", "Size", lead, figure(drawing, caption), table(_sheet(steps, before), "Size after each step"))


def _before(steps: Sequence[StepResult]) -> dict[str, int]:
    """Returns step → the size of the model that it was given, where a step made that."""
    sizes = {step.digest: step.size_bytes or 0 for step in steps}
    given = {step.name: sizes.get(step.inputs.get("model", "")) for step in steps}
    return {name: found for name, found in given.items() if found}


def _paint(canvas: Figure, steps: Sequence[StepResult], before: Mapping[str, int]) -> None:
    axes = canvas.add_subplot()
    widest = max(max(step.size_bytes or 0, before.get(step.name, 0)) for step in steps)
    for row, step in enumerate(steps):
        now, was = step.size_bytes or 0, before.get(step.name, 0)
        if was > now:
            axes.barh(row, was - now, 0.62, left=now, facecolor="none", edgecolor=colour("muted"),
                      hatch="////", linewidth=0)  # fmt: skip
        axes.barh(row, now, 0.62, color=colour("series-1"))
        inside = now > _SMALL * widest
        axes.annotate(
            show.size(now), (now, row), (-6 if inside else 6, 0), textcoords="offset points", va="center",
            ha="right" if inside else "left", color=colour("surface" if inside else "ink"), fontsize=9.5,
            fontweight="bold", bbox={"facecolor": colour("series-1" if inside else "surface"), "lw": 0, "pad": 1.5},
        )  # fmt: skip
    rows(canvas, axes, [step.name for step in steps], bottom=4)
    axes.grid(visible=False)
    axes.spines["bottom"].set_visible(False)
    axes.set_xticks([])


def _sheet(steps: Sequence[StepResult], before: Mapping[str, int]) -> Sheet:
    lines = [
        Row((
            label(step.name, 60), show.size(step.size_bytes), _change(step, before),
            str(sum(step.operators.values())),
        ))
        for step in steps
    ]  # fmt: skip
    return Sheet(("step", "size", "change", "nodes"), tuple(lines))


def _change(step: StepResult, before: Mapping[str, int]) -> str:
    was, now = before.get(step.name), step.size_bytes or 0
    if was is None or was == now:
        return show.NONE
    return f"{'+' if now > was else '-'}{show.size(abs(now - was))}"
