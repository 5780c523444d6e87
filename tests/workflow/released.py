"""A run as a report, made up, and parts of it that differ."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from optkit.core.results import BaselineResult, Provenance, RunReport
from tests.report.conftest import candidate, timing

if TYPE_CHECKING:
    from optkit.core.results import CandidateResult

RUN = RunReport(
    version=1,
    recipe="digits",
    recipe_sha256="a" * 64,
    started="2026-01-02T03:04:05Z",
    seconds=83.25,
    outcome="approved",
    baseline=BaselineResult("baseline", "torch", "b" * 64, 1_638_400, timing("torch", 1.55, 310 << 20)),
    candidates=(candidate(),),
    steps=(),
    provenance=Provenance(
        versions={"optkit": "0.1.0", "onnxruntime": "1.31.1"},
        python="3.11.9",
        platform="Linux 6.1.0-x x86_64",
        cpu="Example CPU",
        cpu_flags=("avx2", "fma"),
        cores=2,
        sources={"model": "b" * 64, "data.evaluation": "d" * 64},
        seed=0,
    ),
)


def with_candidate(**changes: Any) -> RunReport:  # noqa: ANN401  # fields of different types
    """Returns the run with another candidate."""
    return replace(RUN, candidates=(changed(**changes),))


def changed(**changes: Any) -> CandidateResult:  # noqa: ANN401  # fields of different types
    """Returns the run's candidate with other fields."""
    return replace(RUN.candidates[0], **changes)


def elsewhere(**changes: Any) -> RunReport:  # noqa: ANN401  # fields of different types
    """Returns the run as another machine, or other software, would report it."""
    return replace(RUN, provenance=replace(RUN.provenance, **changes))
