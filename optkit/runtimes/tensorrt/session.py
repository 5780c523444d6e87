"""Runs engines of either library on the GPU, in memory that torch holds. Nobody has seen a GPU run it yet."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from optkit.core.errors import StepFailed
from optkit.core.messages import short_message
from optkit.runtimes.cuda import find_gpu
from optkit.runtimes.tensorrt.buffers import Buffer
from optkit.runtimes.tensorrt.device import check_device
from optkit.runtimes.tensorrt.library import LIBRARIES, dtype_name
from optkit.runtimes.tensorrt.loading import load_engine
from optkit.runtimes.tensorrt.log import Log
from optkit.runtimes.tensorrt.outputs import GrowingBuffer
from optkit.runtimes.tensorrt.plan import GRAPH_FILE, check_plan
from optkit.runtimes.tensorrt.refitting import refit
from optkit.runtimes.tensorrt.streams import CudaStream

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import torch
    from numpy.typing import NDArray

    from optkit.runtimes.tensorrt.streams import Stream

    Shapes = Mapping[str, Mapping[str, Sequence[int]]]


@dataclass(slots=True)
class EngineSession:
    """An engine with an execution context of its own.

    Attributes:
        trt: The library's module.
        engine: Deserialized; must outlive the context.
        context: Runs it.
        stream: Where its work is queued.
        profiles: Input → min, opt and max shape, for each profile.
        outputs: Names, in the order of the interface.
        log: What the library says.
        cuda_graphs: Whether runs of the same shapes are recorded once and replayed.
        active: Index of the profile in use.
        bound: Input → the shape that memory is bound for.
        taken: Memory of the inputs.
        given: Memory of the outputs.
        warm: Whether the engine has run with these shapes: only then may it be recorded.
        replay: Starts the recorded run, if there is one.
    """

    trt: Any
    engine: Any
    context: Any
    stream: Stream
    profiles: Sequence[Shapes]
    outputs: Sequence[str]
    log: Log
    cuda_graphs: bool = False
    active: int = 0
    bound: dict[str, tuple[int, ...]] = field(default_factory=dict)
    taken: dict[str, Buffer] = field(default_factory=dict)
    given: dict[str, Buffer | GrowingBuffer] = field(default_factory=dict)
    warm: bool = False
    replay: Callable[[], None] | None = None

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Runs the engine once.

        Raises:
            StepFailed: An input is missing, no profile covers the shapes, or the library fails.
        """
        profile = profile_for(self.profiles, {name: array.shape for name, array in inputs.items()})
        arrays = {name: inputs[name] for name in self.profiles[0]}
        try:
            with self.stream.current():
                self._queue(arrays, profile)
            self.stream.wait()
        except RuntimeError as error:  # torch's: memory is exhausted, a run cannot be recorded, a kernel failed
            raise StepFailed(f"{self.trt.__name__}: {short_message(error)}") from error
        return {name: buffer.array() for name, buffer in self.given.items()}

    def _queue(self, arrays: Mapping[str, NDArray[Any]], profile: int) -> None:
        if self._is_new(arrays):
            self._select(profile)
            self._bind(arrays)
        for name, array in arrays.items():
            self.taken[name].write(array)
        self._launch()
        for buffer in self.given.values():
            buffer.fetch()

    def _is_new(self, arrays: Mapping[str, NDArray[Any]]) -> bool:
        """Whether memory must be bound anew: other shapes, or values that decide over shapes."""
        reads_values = any(self._on_host(name) for name in arrays)
        return reads_values or self.bound != {name: array.shape for name, array in arrays.items()}

    def _select(self, index: int) -> None:
        if index != self.active:
            self.context.set_optimization_profile_async(index, self.stream.handle)
            self.active = index

    def _bind(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self.warm, self.replay, self.bound = False, None, {}
        self.taken = {name: self._input(name, array) for name, array in arrays.items()}
        self.given = {name: self._output(name) for name in self.outputs}
        self.bound = {name: array.shape for name, array in arrays.items()}

    def _input(self, name: str, array: NDArray[Any]) -> Buffer:
        if not self.context.set_input_shape(name, array.shape):
            raise StepFailed(f"{self.trt.__name__}: input {name} cannot have the shape {list(array.shape)}")
        buffer = self._buffer(name, array.shape)
        buffer.write(array)
        self.context.set_tensor_address(name, buffer.address)
        return buffer

    def _output(self, name: str) -> Buffer | GrowingBuffer:
        shape = tuple(self.context.get_tensor_shape(name))
        if min(shape, default=0) < 0:
            growing = GrowingBuffer(self.trt, self._dtype(name), where=self.stream.device)
            self.context.set_output_allocator(name, growing.allocator)
            return growing
        buffer = self._buffer(name, shape)
        self.context.set_tensor_address(name, buffer.address)
        return buffer

    def _buffer(self, name: str, shape: Sequence[int]) -> Buffer:
        return Buffer(shape, self._dtype(name), where=self.stream.device, on_host=self._on_host(name))

    def _dtype(self, name: str) -> torch.dtype:
        import torch

        dtype: torch.dtype = getattr(torch, dtype_name(self.engine.get_tensor_dtype(name)))
        return dtype

    def _on_host(self, name: str) -> bool:
        return bool(self.engine.get_tensor_location(name) == self.trt.TensorLocation.HOST)

    def _launch(self) -> None:
        if self.replay is None and self.cuda_graphs and self.warm and self._is_capturable():
            self.replay = self.stream.record(self._enqueue)
        (self.replay or self._enqueue)()
        self.warm = True

    def _is_capturable(self) -> bool:
        """Whether a run can be recorded: all its memory is bound beforehand, and the library has nothing against it."""
        if any(isinstance(buffer, GrowingBuffer) for buffer in self.given.values()):
            return False
        asked = getattr(self.context, "is_stream_capturable", None)  # TensorRT-RTX alone
        return asked is None or bool(asked(self.stream.handle))

    def _enqueue(self) -> None:
        if not self.context.execute_async_v3(self.stream.handle):
            raise StepFailed(f"{self.trt.__name__}: {self.log.cause() or 'the engine did not run'}")


def open_session(name: str, folder: Path, threads: int) -> EngineSession:
    """Loads the engine at `folder` with the library called `name`; `threads` of the CPU have nothing to do.

    Raises:
        MissingDependency: The library or a GPU that it runs on is absent.
        UsageError: The plan is truncated or foreign, was built for another library, version, platform or GPU, or a
            plugin that it needs is missing.
        StepFailed: The library does not load it.
    """
    del threads
    library = LIBRARIES[name]
    trt = library.load()
    gpu = find_gpu()
    about = check_plan(folder, library, str(gpu or ""), gpu.capability if gpu else "")
    check_device(library)
    log = Log(trt)
    engine = load_engine(trt, folder, about, log)
    if about.get("stripped"):
        refit(trt, engine, folder / GRAPH_FILE, log)
    context = engine.create_execution_context()
    outputs = [output["name"] for output in about["outputs"]]
    graphs = bool(about.get("cuda_graphs"))
    return EngineSession(trt, engine, context, CudaStream(), about["profiles"], outputs, log, graphs)


def profile_for(profiles: Sequence[Shapes], shapes: Mapping[str, Sequence[int]]) -> int:
    """Returns the index of the first profile that covers the shapes of all inputs.

    Raises:
        StepFailed: An input is missing, or none does; names an input, its shape and the ranges.
    """
    missing = [name for name in profiles[0] if name not in shapes]
    if missing:
        raise StepFailed(f"the engine also needs {', '.join(missing)}")
    for index, profile in enumerate(profiles):
        if all(_covers(ranges, shapes[name]) for name, ranges in profile.items()):
            return index
    name = next(name for name in profiles[0] if not any(_covers(each[name], shapes[name]) for each in profiles))
    ranges = " or ".join(f"{list(each[name]['min'])} to {list(each[name]['max'])}" for each in profiles)
    raise StepFailed(f"no profile of the engine covers input {name} of shape {list(shapes[name])}: it takes {ranges}")


def _covers(ranges: Mapping[str, Sequence[int]], shape: Sequence[int]) -> bool:
    low, high = ranges["min"], ranges["max"]
    return len(shape) == len(low) and all(a <= size <= b for a, size, b in zip(low, shape, high, strict=True))
