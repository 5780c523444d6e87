"""An engine that computes on the CPU behind the names of TensorRT's module, so that what a session does can be seen.

It doubles `x` into `y`, and gives the positive values of `x` as `z` where asked: how many is known only then.
"""

from __future__ import annotations

import ctypes
import json
from contextlib import nullcontext
from dataclasses import dataclass, field
from enum import Enum
from math import prod
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray

LAYERS = [
    {"Name": "double", "LayerType": "gemm", "Inputs": [{"Format/Datatype": "Row major Int8"}], "TacticName": "t1"},
    {
        "Name": "reformat",
        "LayerType": "Reformat",
        "Inputs": [{"Format/Datatype": "Row major linear FP32"}],
        "Outputs": [{"Format/Datatype": "Thirty-two wide channel vectorized row major Int8 format"}],
    },
]


class TensorLocation(Enum):
    DEVICE = 0
    HOST = 1


class Callbacks:
    """What a user of the library derives from."""


def module() -> Any:  # noqa: ANN401  # stands in for an extra
    """Returns what `import tensorrt` would."""
    return SimpleNamespace(
        __name__="stand_in",
        TensorLocation=TensorLocation,
        IOutputAllocator=Callbacks,
        IProfiler=Callbacks,
        LayerInformationFormat=SimpleNamespace(JSON="json"),
    )


class Engine:
    def __init__(self, host: Sequence[str] = ()) -> None:
        self._host = host

    def get_tensor_dtype(self, name: str) -> Any:  # noqa: ANN401  # an enum of an extra
        del name
        return SimpleNamespace(name="FLOAT")

    def get_tensor_location(self, name: str) -> TensorLocation:
        return TensorLocation.HOST if name in self._host else TensorLocation.DEVICE

    def create_engine_inspector(self) -> Any:  # noqa: ANN401  # likewise
        return SimpleNamespace(
            execution_context=None, get_engine_information=lambda form: json.dumps({"Layers": [*LAYERS, form]})
        )


@dataclass
class Seen:
    """What a context was told, and what it is to do."""

    calls: list[tuple[Any, ...]] = field(default_factory=list)
    addresses: dict[str, int] = field(default_factory=dict)
    fails: bool = False


class Context:
    def __init__(self, *, capturable: bool | None = None) -> None:
        self.seen = Seen()
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._allocators: dict[str, Any] = {}
        self.profiler: Any = None
        self.enqueue_emits_profile = False
        if capturable is not None:
            self.is_stream_capturable = lambda _stream: capturable

    def set_optimization_profile_async(self, index: int, stream: int) -> bool:
        del stream
        self.seen.calls.append(("profile", index))
        return True

    def set_input_shape(self, name: str, shape: Sequence[int]) -> bool:
        self.seen.calls.append(("shape", name, tuple(shape)))
        self._shapes[name] = tuple(shape)
        return 13 not in shape

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self._shapes["x"] if name == "y" else (-1,)

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self.seen.addresses[name] = memory
        return True

    def set_output_allocator(self, name: str, allocator: Any) -> bool:  # noqa: ANN401  # likewise
        self._allocators[name] = allocator
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        del stream_handle
        self.seen.calls.append(("run",))
        if self.seen.fails:
            return False
        x = _at(self.seen.addresses["x"], self._shapes["x"])
        if "y" in self.seen.addresses:
            _at(self.seen.addresses["y"], x.shape)[:] = 2 * x
        for name, allocator in self._allocators.items():
            found = x[x > 0]
            address = allocator.reallocate_output_async(name, 0, found.nbytes, 256, 0)
            allocator.notify_shape(name, found.shape)
            _at(address, found.shape)[:] = found
        if self.profiler is not None:
            for number, layer in enumerate(LAYERS):
                self.profiler.report_layer_time(layer["Name"], 1.0 + number)
        return True


class CpuStream:
    """Does at once what is queued; `records` counts recordings, `replays` what was replayed."""

    device = "cpu"
    handle = 7

    def __init__(self) -> None:
        self.records = self.replays = 0

    def current(self) -> AbstractContextManager[object]:
        return nullcontext()

    def wait(self) -> None:
        pass

    def record(self, launch: Callable[[], None]) -> Callable[[], None]:
        self.records += 1

        def replay() -> None:
            self.replays += 1
            launch()

        return replay


def _at(address: int, shape: Sequence[int]) -> NDArray[Any]:
    return np.ctypeslib.as_array((ctypes.c_float * prod(shape)).from_address(address)).reshape(shape)
