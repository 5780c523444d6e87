"""OpenVINO on the CPU; it reads the ONNX artifact itself, Q/DQ included."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optkit.core import interface as interfaces
from optkit.core import session_options
from optkit.core.errors import MissingDependency, StepFailed, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

MODEL_FILE = "model.onnx"
HINT = "pip install 'optkit[openvino]'"

_TELEMETRY = "openvino_telemetry"
_NO_NEWS = re.compile(r"^(Exception from |Check '|FrontEnd API failed|Model wasn't fully converted|Summary:|$)")
_UNKNOWN_OPERATOR = "No conversion rule found"


@dataclass(frozen=True, slots=True)
class OpenVinoSession:
    """A compiled model with a request of its own.

    Attributes:
        request: Runs the model, one run at a time.
        inputs: Name and numpy type of each input, in the order of the graph.
        outputs: Name and position of each output, in the order of the interface.
    """

    request: Any
    inputs: tuple[tuple[str, Any], ...]
    outputs: tuple[tuple[str, int], ...]

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Runs the model once; inputs that its graph does not use are left out."""
        missing = [name for name, _ in self.inputs if name not in inputs]
        if missing:
            raise StepFailed(f"openvino: the model also needs {', '.join(missing)}")
        for name, dtype in self.inputs:
            if inputs[name].dtype != dtype:  # OpenVINO would convert it without a word
                raise StepFailed(f"openvino: input {name} is of {inputs[name].dtype}, the model takes {dtype}")
        try:
            self.request.infer([inputs[name] for name, _ in self.inputs], share_inputs=True)
            # A copy: the request writes its next results into the same memory.
            return {name: self.request.get_output_tensor(index).data.copy() for name, index in self.outputs}
        except (RuntimeError, TypeError, ValueError) as error:
            raise StepFailed(f"openvino: {short_message(error)}") from error


def open_session(folder: Path, threads: int, *, counters: bool = False) -> OpenVinoSession:
    """Compiles `model.onnx` of the artifact at `folder` for `threads` threads and the least latency.

    The session options of the artifact may name fewer threads. With `counters`, the request tells after each run how
    long each operator took.

    What the graph keeps in float32 is computed in float32 on every machine: left to itself OpenVINO takes bfloat16
    where the CPU has it, and the accuracy that was measured would hold on some machines only.

    Raises:
        MissingDependency: openvino is not installed.
        UsageError: The file is missing, truncated or no ONNX model.
        StepFailed: This openvino cannot run it, for instance because it has an unknown operator.
    """
    options = session_options.read(folder)
    threads = min(threads, options.threads) if options else threads
    compiled = compile_model(folder / MODEL_FILE, threads, counters=counters)
    ports = [port.get_names() for port in compiled.outputs]
    wanted = [tensor.name for tensor in interfaces.read(folder).outputs]
    absent = [name for name in wanted if not any(name in names for names in ports)]
    if absent:
        raise UsageError(f"{MODEL_FILE} has no output {', '.join(absent)}")
    outputs = tuple((name, next(at for at, names in enumerate(ports) if name in names)) for name in wanted)
    inputs = tuple((port.any_name, port.element_type.to_dtype()) for port in compiled.inputs)
    return OpenVinoSession(compiled.create_infer_request(), inputs, outputs)


def compile_model(path: Path, threads: int, *, counters: bool = False) -> Any:  # noqa: ANN401  # openvino is an extra: its types are not checked
    """Returns the `CompiledModel` of the ONNX file at `path`.

    Raises:
        MissingDependency, UsageError, StepFailed: As `open_session`.
    """
    openvino = import_openvino()
    if not path.is_file():
        raise UsageError(f"{path.name} is missing")
    model = _read(path)
    options = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        # Whoever times a model pins its process; pinning threads within that would put them all on one core.
        "ENABLE_CPU_PINNING": False,
        "PERF_COUNT": counters,
    }
    try:
        return openvino.Core().compile_model(model, "CPU", options)
    except RuntimeError as error:
        raise StepFailed(f"openvino cannot compile the model: {short_message(error)}") from error


def import_openvino() -> Any:  # noqa: ANN401  # likewise
    """Imports openvino without the package that reports each import to its maker.

    Raises:
        MissingDependency: It is not installed.
    """
    silenced = _TELEMETRY not in sys.modules
    if silenced:
        sys.modules[_TELEMETRY] = None  # type: ignore[assignment]  # how Python spells a package that cannot be imported
    try:
        import openvino
    except ImportError as error:
        raise MissingDependency("the runtime openvino is not installed", hint=HINT) from error
    finally:
        if silenced:
            del sys.modules[_TELEMETRY]
    return openvino


def short_message(error: Exception) -> str:
    """Returns the line of an openvino error that says what is wrong, without its source files."""
    lines = [line.strip() for line in str(error).splitlines()]
    return next((line for line in lines if not _NO_NEWS.match(line)), type(error).__name__)


def _read(path: Path) -> Any:  # noqa: ANN401  # likewise
    """Reads the file as ONNX and nothing else: openvino itself tries every format that it knows."""
    from openvino.frontend import FrontEndManager

    frontend = FrontEndManager().load_by_framework("onnx")
    try:
        model = frontend.convert(frontend.load(path))
    except _failures() as error:
        if _UNKNOWN_OPERATOR in str(error):
            raise StepFailed(f"openvino cannot load the model: {short_message(error)}") from error
        raise UsageError(f"{path.name} is damaged or no ONNX model: {short_message(error)}") from error
    if not model.outputs:  # an empty file is an empty model
        raise UsageError(f"{path.name} is damaged or no ONNX model: it has no outputs")
    return model


def _failures() -> tuple[type[Exception], ...]:
    """Returns what openvino raises while it reads a file: its classes share no base but Exception."""
    from openvino import frontend

    raised = [value for name, value in vars(frontend).items() if name.endswith("Failure")]
    return (*raised, RuntimeError, ValueError, TypeError)
