"""Refuses data that two parts share: who selects on data must not judge on it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from optkit.core.errors import UsageError
from optkit.core.passes import Pass

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from optkit.core.passes import Work


@dataclass(frozen=True)
class Disjoint(Pass):
    """Checks by content that two parts of the data have no sample in common."""

    roles: ClassVar[Mapping[str, frozenset[str]]] = {"first": frozenset({"dataset"}), "second": frozenset({"dataset"})}
    produces: ClassVar[str] = "report"

    names: tuple[str, str] = ("calibration", "evaluation")
    """How the recipe calls the two parts."""

    def run(self, inputs: Mapping[str, Path], work: Work) -> None:
        """Writes how many samples were compared.

        Raises:
            UsageError: A sample stands in both.
        """
        from optkit.data.dataset import open_dataset, sample_digests

        first, second = (sample_digests(open_dataset(inputs[role])) for role in ("first", "second"))
        shared = set(first) & set(second)
        if shared:
            raise UsageError(
                f"data.{self.names[0]} and data.{self.names[1]} share {len(shared)} of their samples",
                hint="give each its own split: a model must be judged on data that nothing was chosen by",
            )
        (work.out / "report.json").write_text(json.dumps({"compared": [len(first), len(second)]}))
