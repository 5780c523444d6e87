"""What a recipe is after: which of the candidates that hold every gate it keeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from optkit.core.schema import STRICT

PARETO = "pareto"


@dataclass(frozen=True, slots=True)
class Objective:
    """Which of the candidates that hold every gate are packaged."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    kind: Literal["min_latency", "max_throughput", "min_size", "pareto"] = "min_latency"
    """The fastest at the tuned sizes; most samples per second; the smallest; all that none beats in all three."""
    max_latency_ms: float | None = None
    """How long a run may take, whatever its batch (max_throughput only)."""
