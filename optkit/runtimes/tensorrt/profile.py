"""Times of what an engine executes, from its library's profiler. Nobody has seen that on a GPU yet."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from optkit.runtimes.profiling import Arithmetic, Call, Operator
from optkit.runtimes.tensorrt.inspecting import Kernel, kernels
from optkit.runtimes.tensorrt.session import EngineSession, open_session

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_CONVERSIONS = frozenset({"Reformat", "Quantize", "Dequantize"})


@dataclass(slots=True)
class EngineProfile:
    """A session whose profiler is on: each run waits until the times of its kernels are known."""

    session: EngineSession
    times: list[tuple[str, float]]
    runs: list[list[tuple[str, float]]] = field(default_factory=list)

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Runs the engine once and keeps its times."""
        self.times.clear()
        results = self.session.run(inputs)
        self.runs.append([*self.times])
        return results

    def finish(self) -> Sequence[Sequence[Call]]:
        """Returns the calls of each run."""
        known = {each.name: each for each in kernels(self.session.trt, self.session.engine, self.session.context)}
        operators = {name: _operator(known.get(name, Kernel(name))) for run in self.runs for name, _ in run}
        return [[Call(operators[name], ms) for name, ms in run] for run in self.runs]


def open_profiled(name: str, folder: Path, threads: int) -> EngineProfile:
    """Opens the engine at `folder` with its profiler on, and without CUDA graphs: their kernels run as one.

    Raises:
        MissingDependency, UsageError, StepFailed: As `open_session` does.
    """
    return profiled(open_session(name, folder, threads))


def profiled(session: EngineSession) -> EngineProfile:
    """Turns the profiler of a session on."""
    session.cuda_graphs = False
    times: list[tuple[str, float]] = []
    context = session.context
    context.enqueue_emits_profile = True
    context.profiler = _profiler(session.trt, times)
    return EngineProfile(session, times)


def _profiler(trt: Any, times: list[tuple[str, float]]) -> Any:  # noqa: ANN401  # an extra: its types are not checked
    class Profiler(trt.IProfiler):  # type: ignore[misc]  # likewise
        def __init__(self) -> None:
            super().__init__()

        def report_layer_time(self, name: str, ms: float) -> None:
            times.append((name, ms))

    return Profiler()


def _operator(kernel: Kernel) -> Operator:
    return Operator(kernel.name, kernel.kind or "kernel", _arithmetic(kernel))


def _arithmetic(kernel: Kernel) -> Arithmetic:
    if kernel.kind in _CONVERSIONS and (kernel.takes == "int8") != (kernel.gives == "int8"):
        return "conversion"
    return "int8" if kernel.takes == "int8" else "other"
