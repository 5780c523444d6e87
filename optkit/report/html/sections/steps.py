"""The steps: what each was told, what it took, and what it made."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from optkit.report import format as show
from optkit.report.html.blocks import Section, folded, pairs, section, table
from optkit.report.tables import steps as step_sheet

if TYPE_CHECKING:
    from optkit.core.results import RunReport, StepResult
    from optkit.report.html.markup import Markup


def steps(report: RunReport) -> Section | None:
    """Returns the steps with their options and digests."""
    if not report.steps:
        return None
    cached = sum(step.cached for step in report.steps)
    built = sum(step.seconds for step in report.steps if not step.cached)
    lead = f"{len(report.steps)} steps, {cached} of them cached; building the others took {show.seconds(built)}."
    return section(
        "steps", "Steps", lead, table(step_sheet(report), "Steps"),
        folded("Options and digests", *(_details(step) for step in report.steps)),
    )  # fmt: skip


def _details(step: StepResult) -> Markup:
    options = {name: json.dumps(value, ensure_ascii=False) for name, value in step.options.items()}
    digests = {f"input {role}": digest for role, digest in step.inputs.items()}
    items = {**options, **digests, "artifact": step.digest, "key": step.key}
    return folded(show.one_line(f"{step.name} ({step.pass_name})"), pairs(items.items()))
