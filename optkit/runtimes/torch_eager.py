"""PyTorch eager: the baseline that everything is compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optkit.core import interface
from optkit.core.errors import UsageError
from optkit.runtimes.torch_model import (
    PROGRAM_FILE,
    call_arguments,
    code_folder,
    load_module,
    load_program,
    named_outputs,
    program_arguments,
)
from optkit.runtimes.user_code import blame

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    Arguments = Callable[[Mapping[str, Tensor]], tuple[tuple[Tensor, ...], dict[str, Tensor]]]


@dataclass(frozen=True, slots=True)
class TorchSession:
    """A module, how to call it, and the names of what it returns."""

    module: Callable[..., object]
    arguments: Arguments
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    code: Path

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Runs the model once under `torch.inference_mode`."""
        import torch

        tensors = {name: _to_tensor(inputs[name]) for name in self.inputs}
        args, kwargs = self.arguments(tensors)
        with torch.inference_mode(), blame(self.code, "running the model"):
            output = self.module(*args, **kwargs)
        return {name: _to_array(tensor) for name, tensor in named_outputs(output, self.outputs).items()}


def open_session(folder: Path, threads: int) -> TorchSession:
    """Opens the `torch` or `program` artifact at `folder`. The number of threads holds for the whole process.

    Raises:
        UsageError, StepFailed, MissingDependency: As `load_module` and `load_program` do.
    """
    import torch

    torch.set_num_threads(threads)
    inputs = tuple(tensor.name for tensor in interface.read(folder).inputs)
    outputs = tuple(tensor.name for tensor in interface.read(folder).outputs)
    code = code_folder(folder)
    if (folder / PROGRAM_FILE).exists():
        program = load_program(folder)
        return TorchSession(
            _refusing(program.module()), lambda given: program_arguments(program, given), inputs, outputs, code
        )
    module = load_module(folder)
    return TorchSession(module, lambda given: call_arguments(module, given), inputs, outputs, code)


def _refusing(program: Callable[..., object]) -> Callable[..., object]:
    """Returns the program's module; it says what its guards mean."""

    def call(*args: Tensor, **kwargs: Tensor) -> object:
        try:
            return program(*args, **kwargs)
        except AssertionError as error:
            reason = str(error).strip().partition("\n")[0]
            raise UsageError(
                f"the exported program does not take the sizes that the recipe declares: {reason}",
                hint="export it with `dynamic_shapes` for each of `dims`, or declare the sizes that it has",
            ) from error

    return call


def _to_tensor(array: NDArray[Any]) -> Tensor:
    import numpy as np
    import torch

    # A memory map is read-only, and torch warns of memory that it could write to.
    return torch.from_numpy(np.require(array, requirements=["C", "W"]))


def _to_array(tensor: Tensor) -> NDArray[Any]:
    import torch

    widened = tensor.float() if tensor.dtype == torch.bfloat16 else tensor
    return widened.numpy()
