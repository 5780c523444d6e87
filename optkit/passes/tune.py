"""Tuning how the runtime runs a graph, by measuring."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self

from optkit.core.passes import Pass, Work
from optkit.core.session_options import SessionOption  # noqa: TC001  # pydantic reads the annotations

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from optkit.core.passes import Host


@dataclass(frozen=True)
class Tune(Pass):
    """Measures which session options run the graph fastest on this machine, and keeps them with it."""

    roles: ClassVar[Mapping[str, frozenset[str]]] = {"model": frozenset({"onnx"})}
    produces: ClassVar[str] = "onnx"
    needs: ClassVar[tuple[str, ...]] = ("numpy", "onnxruntime", "openvino")
    device_bound: ClassVar[bool] = True

    options: tuple[SessionOption, ...] = ("threads", "execution", "graph", "arena")
    """What to try, one change at a time; Triton's ONNX Runtime backend cannot be told about `spinning`."""
    seconds: float = 10.0
    """Time for measuring: half to find what is faster, half to confirm it."""
    precision: float = 0.01
    """Half the width of a speed-up's interval at which measuring stops early."""
    threads: int | None = None
    """Most threads of a session; `measure.threads` by default."""
    target: str | None = None
    """What the graph is for; the recipe's target by default."""

    def __post_init__(self) -> None:
        """Refuses what cannot be meant."""
        if not 0 < self.seconds < float("inf"):
            raise ValueError(f"seconds should be above 0, not {self.seconds:g}")
        if not 0 < self.precision < 1:
            raise ValueError(f"precision should be between 0 and 1, not {self.precision:g}")
        if self.threads is not None and self.threads < 1:
            raise ValueError(f"threads should be at least 1, not {self.threads}")

    def resolve(self, target: str, host: Host) -> Self:
        """Returns the pass for a target and as many threads as sessions may have."""
        return replace(self, target=target, threads=self.threads or host.threads)

    def run(self, inputs: Mapping[str, Path], work: Work) -> None:
        """Writes the artifact as it is, and the options that proved faster beside it.

        Raises:
            UsageError: The target cannot be timed here.
            StepFailed: The model cannot be run as it is.
        """
        from optkit.passes.tuning import tune

        tune(self, inputs["model"], work)
