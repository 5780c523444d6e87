"""Runs engines of either library on the GPU, with buffers that torch holds. Nobody has seen it run yet."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from optkit.core.errors import StepFailed
from optkit.runtimes.cuda import find_gpu
from optkit.runtimes.tensorrt.device import check_device
from optkit.runtimes.tensorrt.library import LIBRARIES
from optkit.runtimes.tensorrt.log import Log
from optkit.runtimes.tensorrt.outputs import Output
from optkit.runtimes.tensorrt.plan import GRAPH_FILE, PLAN_FILE, check_plan
from optkit.runtimes.tensorrt.refitting import refit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Shapes = Mapping[str, Mapping[str, Sequence[int]]]


@dataclass(slots=True)
class EngineSession:
    """An engine with an execution context of its own.

    Attributes:
        trt: The library's module.
        engine: Deserialized; must outlive the context.
        context: Runs it.
        stream: A CUDA stream of torch.
        profiles: Input → min, opt and max shape, for each profile.
        outputs: Names, in the order of the interface.
        log: What the library says.
        active: Index of the profile in use.
        output_of: Buffers of the outputs.
    """

    trt: Any
    engine: Any
    context: Any
    stream: Any
    profiles: Sequence[Shapes]
    outputs: Sequence[str]
    log: Log
    active: int = 0
    output_of: dict[str, Output] = field(default_factory=dict)

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Runs the engine once.

        Raises:
            StepFailed: An input is missing, no profile covers the shapes, or the library fails.
        """
        self._select(profile_for(self.profiles, {name: array.shape for name, array in inputs.items()}))
        kept = [self._bind(name, inputs[name]) for name in self.profiles[0]]  # buffers must live until it has run
        self.output_of = {name: Output(self.trt, self.engine, self.context, name) for name in self.outputs}
        if not self.context.execute_async_v3(self.stream.cuda_stream):
            raise StepFailed(f"{self.trt.__name__}: {self.log.cause() or 'the engine did not run'}")
        self.stream.synchronize()
        kept.clear()
        return {name: output.array() for name, output in self.output_of.items()}

    def _select(self, index: int) -> None:
        if index != self.active:
            self.context.set_optimization_profile_async(index, self.stream.cuda_stream)
            self.active = index

    def _bind(self, name: str, array: NDArray[Any]) -> Any:  # noqa: ANN401  # a tensor
        import numpy as np
        import torch

        on_host = self.engine.get_tensor_location(name) == self.trt.TensorLocation.HOST
        tensor = torch.from_numpy(np.ascontiguousarray(array)).to("cpu" if on_host else "cuda")
        if not self.context.set_input_shape(name, array.shape):
            raise StepFailed(f"{self.trt.__name__}: input {name} cannot have the shape {list(array.shape)}")
        self.context.set_tensor_address(name, tensor.data_ptr())
        return tensor


def open_session(name: str, folder: Path, threads: int) -> EngineSession:
    """Loads the engine at `folder` with the library called `name`; `threads` of the CPU have nothing to do.

    Raises:
        MissingDependency: The library or a GPU that it runs on is absent.
        UsageError: The plan is truncated or foreign, or was built for another library, version, platform or GPU.
        StepFailed: The library does not load it.
    """
    del threads
    library = LIBRARIES[name]
    trt = library.load()
    gpu = find_gpu()
    about = check_plan(folder, library, str(gpu or ""), gpu.capability if gpu else "")
    check_device(library)
    import torch

    log = Log(trt)
    runtime = trt.Runtime(log.logger)
    engine = runtime.deserialize_cuda_engine((folder / PLAN_FILE).read_bytes())
    if engine is None:
        raise StepFailed(f"{name} cannot load the engine: {log.cause()}")
    if about.get("stripped"):
        refit(trt, engine, folder / GRAPH_FILE, log)
    context = engine.create_execution_context()
    outputs = [output["name"] for output in about["outputs"]]
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch does not type it
    return EngineSession(trt, engine, context, stream, about["profiles"], outputs, log)


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
