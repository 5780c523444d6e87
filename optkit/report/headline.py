"""The verdict of a run in a line, and what a reader of any page must not miss."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optkit.core.gates import Status
from optkit.report.format import one_line
from optkit.report.judgement import decision, remark
from optkit.report.slices import brief

if TYPE_CHECKING:
    from collections.abc import Iterator

    from optkit.core.results import CandidateResult, RunReport

SYMBOLS = {Status.PASSED: "✓", Status.FAILED: "✗", Status.INCONCLUSIVE: "?", Status.UNMEASURED: "∅"}


def headline(report: RunReport) -> str:
    """Returns the outcome with the number of candidates approved, and which of them were kept where not all are."""
    approved = sum(candidate.approved for candidate in report.candidates)
    kept = f", kept {', '.join(report.choice.kept) or 'none'}" if report.choice else ""
    return one_line(f"{report.outcome}: {approved} of {len(report.candidates)} candidates{kept}")


def verdict_line(candidate: CandidateResult) -> str:
    """Returns one candidate's verdict: approved or refused, and on which gates."""
    refused = brief(item for item in candidate.verdicts if not item.accepted)
    if refused:
        return one_line(f"{candidate.name}: refused ({', '.join(refused)})")
    if not candidate.verdicts:
        return one_line(f"{candidate.name}: {_outcome(candidate)}, no gate was set")
    let = brief(item for item in candidate.verdicts if item.status is not Status.PASSED)
    note = f", the recipe accepting {', '.join(let)}" if let else ""
    return one_line(f"{candidate.name}: {_outcome(candidate)}{note}")


def caveats(candidate: CandidateResult) -> Iterator[str]:
    """Yields a plain sentence for each verdict that the recipe accepts though it did not pass."""
    for item in candidate.verdicts:
        if item.accepted and item.status is not Status.PASSED:
            note = remark(item)
            yield one_line(f"{item.title}: {decision(item)}{f' ({note})' if note else ''}")


def _outcome(candidate: CandidateResult) -> str:
    return "approved" if candidate.approved else "refused"
