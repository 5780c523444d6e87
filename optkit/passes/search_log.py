"""What a search has found so far, in a file that outlives a kill."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from pathlib import Path

_FILE = "search.json"


@dataclass(slots=True)
class SearchLog:
    """Noises by layer, and evaluations by the layers that stay float; written anew after each.

    Attributes:
        path: The file.
        noises: Layer → noise.
        evaluations: What was found for each setting; `float` holds its sorted layers.
        reused: How many evaluations an earlier, interrupted run had made.
    """

    path: Path
    noises: dict[str, float] = field(default_factory=dict)
    evaluations: list[dict[str, Any]] = field(default_factory=list)
    reused: int = 0

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Returns the log in a folder; an empty one if there is none."""
        path = folder / _FILE
        if not path.is_file():
            return cls(path)
        kept = json.loads(path.read_text())
        return cls(path, kept["noises"], kept["evaluations"], len(kept["evaluations"]))

    def evaluation(self, floats: frozenset[str]) -> dict[str, Any] | None:
        """Returns what was found for a setting, if it was evaluated."""
        wanted = sorted(floats)
        return next((each for each in self.evaluations if each["float"] == wanted), None)

    def add_noise(self, layer: str, noise: float) -> None:
        """Keeps a noise."""
        self.noises[layer] = noise
        self._write()

    def add_evaluation(self, evaluation: dict[str, Any]) -> None:
        """Keeps an evaluation."""
        self.evaluations.append(evaluation)
        self._write()

    def _write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = self.path.with_suffix(".part")
        draft.write_text(json.dumps({"noises": self.noises, "evaluations": self.evaluations}))
        draft.replace(self.path)
