"""Buffers for what an engine returns, also where its size is known only once it has run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from optkit.runtimes.tensorrt.library import dtype_name

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Output:
    """The buffer of one output: of the shape that the context infers or, where it cannot, grown on demand."""

    def __init__(self, trt: Any, engine: Any, context: Any, name: str) -> None:  # noqa: ANN401  # an extra: its types are not checked
        import torch

        self.dtype: torch.dtype = getattr(torch, dtype_name(engine.get_tensor_dtype(name)))
        self.shape = tuple(context.get_tensor_shape(name))
        self._allocator = None
        if min(self.shape, default=0) < 0:
            self._allocator = _allocator(trt, self)
            context.set_output_allocator(name, self._allocator)
            return
        self.buffer = torch.empty(self.shape, dtype=self.dtype, device="cuda")
        context.set_tensor_address(name, self.buffer.data_ptr())

    def array(self) -> NDArray[Any]:
        """Returns the values, on the host."""
        if self._allocator is None:
            return self.buffer.cpu().numpy()
        count = 1
        for size in self.shape:
            count *= size
        return self.buffer.view(self.dtype)[:count].reshape(self.shape).cpu().numpy()


def _allocator(trt: Any, output: Output) -> Any:  # noqa: ANN401  # likewise
    import torch

    class Allocator(trt.IOutputAllocator):  # type: ignore[misc]  # likewise
        def __init__(self) -> None:
            super().__init__()

        def reallocate_output_async(self, name: str, memory: int, size: int, alignment: int, stream: int) -> int:
            del name, memory, alignment, stream  # torch aligns to 512 bytes
            output.buffer = torch.empty(max(size, 1), dtype=torch.uint8, device="cuda")
            return output.buffer.data_ptr()

        def notify_shape(self, name: str, shape: Any) -> None:  # noqa: ANN401  # likewise
            del name
            output.shape = tuple(shape)

    return Allocator()
