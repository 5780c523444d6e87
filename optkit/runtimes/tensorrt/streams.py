"""Where the GPU's work is queued: a CUDA stream of torch, and recordings of what is put into it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from optkit.runtimes.tensorrt.buffers import GPU

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager


class Stream(Protocol):
    """A queue of work on a device."""

    @property
    def device(self) -> str:
        """Where its memory lies, as torch names it."""

    @property
    def handle(self) -> int:
        """What a library is told."""

    def current(self) -> AbstractContextManager[object]:
        """Has what torch does within the block be queued here."""

    def wait(self) -> None:
        """Returns when all that was queued is done."""

    def record(self, launch: Callable[[], None]) -> Callable[[], None]:
        """Returns what queues again, in one go, all that `launch` puts into the stream; here it only records it."""


class CudaStream:
    """A stream of its own: on CUDA's default stream, TensorRT would wait for the whole device."""

    device = GPU

    def __init__(self) -> None:
        import torch

        self._stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch does not type it

    @property
    def handle(self) -> int:
        """The cudaStream_t."""
        return int(self._stream.cuda_stream)

    def current(self) -> AbstractContextManager[object]:
        """Has torch's copies be queued here."""
        import torch

        return torch.cuda.stream(self._stream)

    def wait(self) -> None:
        """Returns when all that was queued is done."""
        self._stream.synchronize()

    def record(self, launch: Callable[[], None]) -> Callable[[], None]:
        """Returns the replay of a CUDA graph of `launch` (CUDA C++ Programming Guide, "CUDA Graphs")."""
        import torch

        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
            launch()
        return graph.replay
