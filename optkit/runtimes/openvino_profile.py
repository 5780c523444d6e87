"""Times of operators in OpenVINO, from the counters that it keeps for each run.

The operators are those of the graph that it executes; a fused one is named after one of the nodes that it was made of.
Times are whole microseconds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from optkit.runtimes.openvino_cpu import OpenVinoSession, open_session
from optkit.runtimes.profiling import Arithmetic, Call, Operator

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

_EIGHT_BIT = re.compile(r"_[IU]8$", re.IGNORECASE)
"""How the name of a kernel ends that computes on 8-bit integers, as in `jit_avx2_I8`."""


@dataclass(slots=True)
class OpenVinoProfile:
    """A session whose counters are on."""

    session: OpenVinoSession
    runs: list[list[Call]] = field(default_factory=list)

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Runs the model once and keeps its counters."""
        results = self.session.run(inputs)
        counters = self.session.request.profiling_info
        self.runs.append([_call(counter) for counter in counters if counter.status == counter.Status.EXECUTED])
        return results

    def finish(self) -> list[list[Call]]:
        """Returns the calls of each run."""
        return self.runs


def open_profiled(folder: Path, threads: int) -> OpenVinoProfile:
    """Opens the artifact at `folder` as for timing, with its counters on.

    Raises:
        UsageError, StepFailed, MissingDependency: As `openvino_cpu.open_session` does.
    """
    return OpenVinoProfile(open_session(folder, threads, counters=True))


def _call(counter: Any) -> Call:  # noqa: ANN401  # openvino is an extra: its types are not checked
    name = counter.node_name.partition("/WithoutBiases")[0]
    operator = Operator(name, counter.node_type, _arithmetic(counter.node_type, counter.exec_type))
    return Call(operator, counter.real_time.total_seconds() * 1e3)


def _arithmetic(operator: str, kernel: str) -> Arithmetic:
    small = bool(_EIGHT_BIT.search(kernel))
    if operator == "FakeQuantize" or (operator == "Convert" and small):
        return "conversion"
    return "int8" if small else "other"
