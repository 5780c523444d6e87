"""Memory for an output whose size is known only once the engine has run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from optkit.runtimes.tensorrt.buffers import GPU

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray


class GrowingBuffer:
    """An output that the engine asks memory for while it runs. It keeps the largest piece that was ever asked for.

    Attributes:
        allocator: What the library asks; must live as long as the context.
    """

    def __init__(self, trt: Any, dtype: torch.dtype, *, where: str = GPU) -> None:  # noqa: ANN401  # an extra: its types are not checked
        import torch

        self.dtype, self.where = dtype, where
        self.shape: tuple[int, ...] = ()
        self.memory = torch.empty(0, dtype=torch.uint8, device=where)
        self.host = torch.empty(0, dtype=dtype)
        self.allocator = _allocator(trt, self)

    def grow(self, size: int) -> int:
        """Returns the address of at least `size` bytes, and of one: the library takes no null pointer."""
        import torch

        if self.memory.numel() < max(size, 1):
            self.memory = torch.empty(max(size, 1), dtype=torch.uint8, device=self.where)
        return self.memory.data_ptr()

    def fetch(self) -> None:
        """Starts the copy from the GPU, in the order of the current stream; the library has told the shape by then."""
        import torch

        self.host = torch.empty(self.shape, dtype=self.dtype, pin_memory=self.where == GPU)
        values = self.memory[: self.host.nbytes].view(self.dtype).reshape(self.shape)
        self.host.copy_(values, non_blocking=True)

    def array(self) -> NDArray[Any]:
        """Returns the values that were fetched; the stream must have come so far."""
        return self.host.numpy()


def _allocator(trt: Any, output: GrowingBuffer) -> Any:  # noqa: ANN401  # likewise
    class Allocator(trt.IOutputAllocator):  # type: ignore[misc]  # likewise
        def __init__(self) -> None:
            super().__init__()

        def reallocate_output_async(self, name: str, memory: int, size: int, alignment: int, stream: int) -> int:
            del name, memory, alignment, stream  # torch aligns to 512 bytes
            return output.grow(size)

        def notify_shape(self, name: str, shape: Any) -> None:  # noqa: ANN401  # likewise
            del name
            output.shape = tuple(shape)

    return Allocator()
