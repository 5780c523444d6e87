"""Memory of a session: a tensor on the GPU and its double in pinned memory, between which copies need no detour."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from numpy.typing import NDArray

GPU = "cuda"


class Buffer:
    """One input or output of a fixed shape; its addresses stay the same, as a captured CUDA graph needs.

    Attributes:
        device: What the engine reads or writes; where it asks for host memory, the pinned tensor itself.
        host: Pinned, which lets the GPU copy while the CPU goes on.
    """

    def __init__(self, shape: Sequence[int], dtype: torch.dtype, *, where: str = GPU, on_host: bool = False) -> None:
        import torch

        self.host = torch.empty(tuple(shape), dtype=dtype, pin_memory=where == GPU)
        self.device = self.host if on_host else torch.empty(tuple(shape), dtype=dtype, device=where)

    @property
    def address(self) -> int:
        """What the engine is told."""
        return self.device.data_ptr()

    def write(self, array: NDArray[Any]) -> None:
        """Copies `array` to the GPU, in the order of the current stream."""
        import numpy as np
        import torch

        self.host.copy_(torch.from_numpy(np.ascontiguousarray(array)))
        if self.device is not self.host:
            self.device.copy_(self.host, non_blocking=True)

    def fetch(self) -> None:
        """Starts the copy from the GPU, in the order of the current stream."""
        if self.device is not self.host:
            self.host.copy_(self.device, non_blocking=True)

    def array(self) -> NDArray[Any]:
        """Returns the values that were fetched; the stream must have come so far."""
        return self.host.numpy().copy()
