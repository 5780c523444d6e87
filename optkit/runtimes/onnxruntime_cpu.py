"""ONNX Runtime on the CPU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from optkit.core import session_options
from optkit.core.errors import StepFailed, UsageError
from optkit.core.messages import short_message
from optkit.core.session_options import SessionOptions

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

MODEL_FILE = "model.onnx"
CPU = "CPUExecutionProvider"

# Fatal only: whatever else it would print to stderr reaches the user as an exception with the same words.
_LOG_FATAL = 4


@dataclass(frozen=True, slots=True)
class OnnxRuntimeSession:
    """An `InferenceSession` and the names that it takes and gives."""

    inference: Any
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @classmethod
    def of(cls, inference: Any) -> Self:  # noqa: ANN401  # onnxruntime ships no types
        """Returns the session of an open `InferenceSession`."""
        inputs, outputs = (
            tuple(end.name for end in ends) for ends in (inference.get_inputs(), inference.get_outputs())
        )
        return cls(inference, inputs, outputs)

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Runs the model once; inputs that its graph does not use are left out."""
        missing = [name for name in self.inputs if name not in inputs]
        if missing:
            raise StepFailed(f"onnxruntime: the model also needs {', '.join(missing)}")
        try:
            results = self.inference.run(self.outputs, {name: inputs[name] for name in self.inputs})
        except _errors() as error:
            raise StepFailed(f"onnxruntime: {short_message(error)}") from error
        return dict(zip(self.outputs, results, strict=True))


def open_session(
    folder: Path, threads: int, trace: Path | None = None, providers: tuple[str, ...] = (CPU,)
) -> OnnxRuntimeSession:
    """Opens `model.onnx` of the artifact at `folder` with `threads` intra-op threads, or as its session options say.

    With `trace`, the profiler is on and writes to a file whose name starts so. A node is run by the first of the
    `providers` that can.

    Raises:
        UsageError: The file is missing, truncated or no ONNX model.
        StepFailed: This onnxruntime cannot run it, for instance because it has an unknown operator.
    """
    import onnxruntime

    path = folder / MODEL_FILE
    if not path.is_file():
        raise UsageError(f"{MODEL_FILE} is missing")
    onnxruntime.disable_telemetry_events()
    states = onnxruntime.capi.onnxruntime_pybind11_state
    options = _options(session_options.read(folder) or SessionOptions(threads), threads)
    if trace is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(trace)
    try:
        inference = onnxruntime.InferenceSession(path, options, providers=list(providers))
    except (states.InvalidProtobuf, states.NoModel, states.InvalidArgument) as error:
        raise UsageError(f"{MODEL_FILE} is damaged or no ONNX model: {short_message(error)}") from error
    except _errors() as error:
        raise StepFailed(f"onnxruntime cannot load the model: {short_message(error)}") from error
    return OnnxRuntimeSession.of(inference)


def _options(wanted: SessionOptions, threads: int) -> Any:  # noqa: ANN401  # onnxruntime ships no types
    import onnxruntime

    levels = onnxruntime.GraphOptimizationLevel
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = min(threads, wanted.threads)
    options.inter_op_num_threads = 1
    if wanted.execution == "parallel":
        options.execution_mode = onnxruntime.ExecutionMode.ORT_PARALLEL
        options.inter_op_num_threads = min(threads, wanted.threads)
    options.graph_optimization_level = {
        "all": levels.ORT_ENABLE_ALL, "extended": levels.ORT_ENABLE_EXTENDED, "basic": levels.ORT_ENABLE_BASIC,
    }[wanted.graph]  # fmt: skip
    options.enable_cpu_mem_arena = wanted.arena
    options.log_severity_level = _LOG_FATAL
    # An idle pool that spins takes the cores from whatever is timed next.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    if not wanted.spinning:
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _errors() -> tuple[type[Exception], ...]:
    """Returns what onnxruntime raises: its classes share no base but Exception."""
    from onnxruntime.capi import onnxruntime_pybind11_state as states

    raised = [value for value in vars(states).values() if isinstance(value, type) and issubclass(value, Exception)]
    return (*raised, ValueError, RuntimeError, TypeError)
