"""Times of operators in ONNX Runtime, from the trace that its profiler writes.

The operators are those of the graph after ONNX Runtime's own optimiser. A node that it fuses or lays out anew keeps the
name of a node of the model, with an ending that is dropped here, or takes that of the value that it computes; what it
adds (a Transpose, a ReorderOutput) has a name of its own. Times are whole microseconds.
"""

from __future__ import annotations

import json
import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optkit.runtimes import onnxruntime_cpu
from optkit.runtimes.profiling import Arithmetic, Call, Operator

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from optkit.runtimes.onnxruntime_cpu import OnnxRuntimeSession

_RUN = "model_run"
_NODE = re.compile(r"_kernel_time$")
_ADDED = re.compile(r"(_token_\d+|_nchwc|/\w+Fusion/?)+$")
_CONVERSIONS = frozenset({"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "Cast"})
_QUANTIZES_WITHIN = frozenset({"DynamicQuantizeMatMul", "DynamicQuantizeLSTM"})
_EIGHT_BIT = frozenset({"int8", "uint8"})


@dataclass(slots=True)
class OnnxRuntimeProfile:
    """A session whose profiler is on."""

    session: OnnxRuntimeSession
    scratch: tempfile.TemporaryDirectory[str] = field(repr=False)

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Runs the model once."""
        return self.session.run(inputs)

    def finish(self) -> list[list[Call]]:
        """Returns the calls of each run."""
        trace = Path(self.session.inference.end_profiling())
        with self.scratch:
            return calls_by_run(json.loads(trace.read_bytes()))


def open_profiled(folder: Path, threads: int) -> OnnxRuntimeProfile:
    """Opens `model.onnx` of the artifact at `folder` as for timing, with the profiler on.

    Raises:
        UsageError, StepFailed: As `onnxruntime_cpu.open_session` does.
    """
    scratch = tempfile.TemporaryDirectory(prefix="optkit-profile-")
    return OnnxRuntimeProfile(onnxruntime_cpu.open_session(folder, threads, Path(scratch.name) / "trace"), scratch)


def calls_by_run(trace: Sequence[Mapping[str, Any]]) -> list[list[Call]]:
    """Returns the calls of each run of a trace (Chrome's trace event format; times in microseconds)."""
    nodes = sorted(filter(_is_node, trace), key=lambda event: (event["tid"], event["ts"], -event["dur"]))
    calls = list(zip(nodes, _own_times(nodes), strict=True))
    runs = sorted((event["ts"], event["ts"] + event["dur"]) for event in trace if event["name"] == _RUN)
    return [[_call(event, own) for event, own in calls if start <= event["ts"] < end] for start, end in runs]


def _is_node(event: Mapping[str, Any]) -> bool:
    return event.get("cat") == "Node" and bool(_NODE.search(event["name"]))


def _own_times(events: Iterable[Mapping[str, Any]]) -> Iterator[float]:
    """Yields the microseconds of each event without those of the events within it: a Loop holds its body's nodes.

    Args:
        events: Thread by thread, each in order: what overlaps on another thread is not within.
    """
    own: list[float] = []
    open_: list[tuple[int, float, int]] = []  # thread, end, index
    for index, event in enumerate(events):
        thread, end = event["tid"], event["ts"] + event["dur"]
        while open_ and (open_[-1][0] != thread or open_[-1][1] < end):
            open_.pop()
        if open_:
            own[open_[-1][2]] -= event["dur"]
        own.append(event["dur"])
        open_.append((thread, end, index))
    return (max(0.0, time) for time in own)


def _call(event: Mapping[str, Any], microseconds: float) -> Call:
    args = event["args"]
    name = _ADDED.sub("", _NODE.sub("", event["name"]))
    return Call(Operator(name, args["op_name"], arithmetic(args["op_name"], args)), microseconds / 1e3)


def arithmetic(operator: str, args: Mapping[str, Any]) -> Arithmetic:
    """Returns which numbers an operator computes on, by its name and the types of what it takes and gives.

    What takes 8-bit integers first counts as int8 (ConvInteger, QGemm, a MaxPool between quantized layers), as do the
    QLinear* operators, some of which take a scale first, and those that quantize what they take themselves. A product
    with weights alone in few bits (MatMulNBits) computes on floats.
    """
    takes, gives = (_types(args.get(key, ())) for key in ("input_type_shape", "output_type_shape"))
    small = bool(_EIGHT_BIT & set(takes[:1]))
    if operator in _CONVERSIONS and small != bool(_EIGHT_BIT & set(gives[:1])):
        return "conversion"
    return "int8" if small or operator.startswith("QLinear") or operator in _QUANTIZES_WITHIN else "other"


def _types(tensors: Sequence[Mapping[str, Any]]) -> list[str]:
    return [dtype for tensor in tensors for dtype in tensor]
