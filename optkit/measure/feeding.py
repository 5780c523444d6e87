"""Between a dataset, which stacks samples on axis 0, and a model, which may hold them on any axis or on none."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from optkit.core.errors import StepFailed, UsageError
from optkit.core.interface import BATCH, REST, Dim, Tensor, assumed_shape, shape_at

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from optkit.core.interface import Interface

_INTEGERS = (0, 9)
"""Made-up integers without a declared range: small enough to be valid ids of almost any vocabulary."""

_MASK = (0, 1)
"""The range of a mask. Its first position counts always: attention to nothing at all has no meaning to compare."""


def batch_limit(interface: Interface) -> int:
    """Returns how many samples the model takes at once: `dims.batch.max`, or 1 if it is fixed at one sample.

    Raises:
        UsageError: No input has a batch axis, and the first size of one is not 1.
    """
    if all(tensor.batch_axis is not None for tensor in interface.inputs):
        return _dim(interface, BATCH).max
    if any(tensor.batch_axis is not None for tensor in interface.inputs):
        return 1
    for tensor in interface.inputs:
        if tensor.shape[:1] != (1,):
            raise UsageError(
                f"input '{tensor.name}' has shape {_show(tensor.shape)}, which has no axis of samples",
                hint=f"declare it, for instance `shape: {_show((BATCH, *tensor.shape[1:]))}`",
            )
    return 1


def to_model(inputs: Mapping[str, NDArray[Any]], interface: Interface, start: int = 0) -> dict[str, NDArray[Any]]:
    """Returns the model's inputs, in order, from samples stacked on axis 0.

    Args:
        inputs: What the dataset offers, each of shape (n, …).
        interface: The model's interface. An input without a batch axis takes one sample (n = 1).
        start: Index of the first sample in the dataset, for messages.

    Raises:
        UsageError: An input is absent, or has another shape or a dtype that cannot be cast without loss.
    """
    sizes: dict[str, int] = {}
    return {tensor.name: _input(inputs, tensor, interface, sizes, start) for tensor in interface.inputs}


def from_model(output: NDArray[Any], tensor: Tensor, count: int) -> NDArray[Any]:
    """Returns the output of `count` samples with the samples on axis 0: shape (count, …).

    Raises:
        StepFailed: The output has no axis of that many samples.
    """
    import numpy as np

    if tensor.batch_axis is None and count == 1:
        return output if tensor.shape[:1] in {(1,), (REST,)} and output.shape[:1] == (1,) else output[None]
    axis = 0 if tensor.batch_axis is None else tensor.batch_axis
    if output.ndim <= axis or output.shape[axis] != count:
        raise StepFailed(
            f"output '{tensor.name}' has shape {_show(output.shape)} for {count} samples; axis {axis} should hold them",
            hint="declare the output's shape with `batch` at the axis of samples",
        )
    return np.moveaxis(output, axis, 0)


def with_outputs(interface: Interface, results: Mapping[str, NDArray[Any]]) -> Interface:
    """Returns the interface; if it declares no outputs, they are those of `results`, which one run gave."""
    if interface.outputs:
        return interface
    shape = assumed_shape(interface.inputs)
    return replace(interface, outputs=tuple(Tensor(name, array.dtype.name, shape) for name, array in results.items()))


def made_up_inputs(interface: Interface, sizes: Mapping[str, int], seed: int) -> dict[str, NDArray[Any]]:
    """Returns inputs that exercise the model where no data is at hand: no two alike, none constant.

    Floats are standard normal, or uniform in the input's `range`; integers are uniform in its `range`, or in 0…9;
    booleans are fair coins. Masks (integers from 0 to 1) start with a 1 on the last axis.

    Args:
        interface: The model's interface.
        sizes: Size of each dynamic dimension.
        seed: The same seed gives the same inputs.
    """
    import numpy as np

    random = np.random.default_rng(seed)
    return {tensor.name: _made_up(tensor, shape_at(tensor, sizes), random) for tensor in interface.inputs}


def _made_up(tensor: Tensor, shape: tuple[int, ...], random: np.random.Generator) -> NDArray[Any]:
    import numpy as np

    dtype = np.dtype(tensor.dtype)
    if dtype.kind == "b":
        return random.integers(0, 2, shape).astype(bool)
    if dtype.kind in "iu":
        low, high = tensor.range or _INTEGERS
        integers = random.integers(int(low), int(high), shape, dtype, endpoint=True)
        if (low, high) == _MASK and shape:
            integers[..., :1] = 1
        return integers
    if tensor.range is None:
        return random.standard_normal(shape).astype(dtype)
    return random.uniform(*tensor.range, shape).astype(dtype)


def _input(
    inputs: Mapping[str, NDArray[Any]], tensor: Tensor, interface: Interface, sizes: dict[str, int], start: int
) -> NDArray[Any]:
    import numpy as np

    if tensor.name not in inputs:
        raise UsageError(
            f"the model needs '{tensor.name}', which the dataset does not offer",
            hint=f"it offers {', '.join(inputs)}; rename the model's input or the dataset's field",
        )
    array = inputs[tensor.name]
    if tensor.batch_axis is not None:
        placed = np.moveaxis(array, 0, tensor.batch_axis) if array.ndim > tensor.batch_axis else array
    else:
        placed = array[0] if array.ndim - 1 == len(tensor.shape) else array
    _check_shape(placed.shape, tensor, interface, sizes, start)
    return _cast(placed, tensor, start)


def _check_shape(
    shape: tuple[int, ...], tensor: Tensor, interface: Interface, sizes: dict[str, int], start: int
) -> None:
    """Checks sizes against the interface; `sizes` carries what a dynamic dimension had in the inputs before."""
    where = f"sample {start}: input '{tensor.name}' has shape {_show(shape)}"
    if len(shape) != len(tensor.shape):
        raise UsageError(f"{where}, the model wants {_show(tensor.shape)}")
    for size, wanted in zip(shape, tensor.shape, strict=True):
        if isinstance(wanted, int):
            if size != wanted:
                raise UsageError(f"{where}, the model wants {_show(tensor.shape)}")
            continue
        dim = _dim(interface, wanted)
        if not dim.min <= size <= dim.max:
            raise UsageError(
                f"{where}: {wanted} is {size}, outside {dim.min} to {dim.max}",
                hint=f"widen `dims.{wanted}`, or cut and pad the data",
            )
        if sizes.setdefault(wanted, size) != size:
            raise UsageError(f"{where}: {wanted} is {size} here and {sizes[wanted]} in another input")


def _cast(array: NDArray[Any], tensor: Tensor, start: int) -> NDArray[Any]:
    import numpy as np

    if array.dtype == np.dtype(tensor.dtype):
        return array
    with np.errstate(invalid="ignore", over="ignore"):
        cast = array.astype(tensor.dtype)
        lossless = np.array_equal(cast.astype(array.dtype), array, equal_nan=array.dtype.kind == "f")
    if not lossless:
        raise UsageError(
            f"sample {start}: input '{tensor.name}' is {array.dtype}, the model wants {tensor.dtype}, "
            "and casting would change values",
            hint=f"store it as {tensor.dtype}",
        )
    return cast


def _dim(interface: Interface, name: str) -> Dim:
    return interface.dims.get(name, Dim())


def _show(shape: tuple[int | str, ...]) -> str:
    return f"[{', '.join(map(str, shape))}]"
