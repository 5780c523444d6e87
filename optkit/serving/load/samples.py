"""What is asked of the server, and what it must answer."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from optkit.core.errors import UsageError
from optkit.core.interface import BATCH, Dim, Interface, Tensor
from optkit.measure.feeding import to_model
from optkit.serving.load.protocol import datatype, on_wire

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import numpy as np

    from optkit.data.dataset import Dataset
    from optkit.serving.load.protocol import ModelSpec, TensorSpec

    Arrays = Mapping[str, np.ndarray]

MOST_REQUESTS = 64
"""Different ones, sent in turn."""
_ANY = 1 << 31


def cut(requests: Iterable[Arrays], model: ModelSpec, size: int) -> list[tuple[Arrays, int]]:
    """Returns requests of `size` samples each, cut from larger ones, without repetitions; with their sizes.

    A request is cut along its first axis if all its tensors share that one's size and the server takes any; else it
    stays whole, as one sample.
    """
    pieces = [piece for request in requests for piece in _pieces(request, model, size)]
    different = {tuple((name, array.tobytes()) for name, array in inputs.items()): (inputs, n) for inputs, n in pieces}
    return list(different.values())[:MOST_REQUESTS]


def from_dataset(dataset: Dataset, model: ModelSpec, size: int) -> list[Arrays]:
    """Returns requests of `size` samples each from a dataset, in the model's layout.

    Raises:
        UsageError: The server does not tell what the model takes, or the data is something else.
    """
    if not model.inputs:
        raise UsageError(f"the server does not tell what '{model.name}' takes", hint="give --run instead of --data")
    interface = _interface(model)
    whole = (batch for batch in dataset.batches(size) if len(next(iter(batch.inputs.values()))) == size)
    requests: list[Arrays] = [to_model(batch.inputs, interface, batch.start) for batch in islice(whole, MOST_REQUESTS)]
    if not requests:
        raise UsageError(f"the data has no {size} samples of one shape", hint="lower --batch")
    return requests


def check_fits(inputs: Arrays, model: ModelSpec) -> None:
    """Refuses a request that the model, as the server describes it, does not take.

    Raises:
        UsageError: A tensor is absent, unknown, or of another type or shape.
    """
    specs = {spec.name: spec for spec in model.inputs}
    if not specs:
        return
    if specs.keys() != inputs.keys():
        raise UsageError(
            f"'{model.name}' takes {_names(specs)}, the samples have {_names(inputs)}", hint="is --model the right one?"
        )
    for name, spec in specs.items():
        sent = on_wire(inputs[name], spec)
        if datatype(sent) != spec.datatype or not _fits(sent.shape, spec.shape):
            raise UsageError(f"'{model.name}' takes {spec}, the samples have {datatype(sent)} {list(sent.shape)}")


def _pieces(request: Arrays, model: ModelSpec, size: int) -> Iterator[tuple[Arrays, int]]:
    count = _samples(request, model.inputs)
    if count is None:
        yield request, 1
        return
    for start in range(0, count - size + 1, size):
        yield {name: array[start : start + size] for name, array in request.items()}, size


def _samples(request: Arrays, specs: Sequence[TensorSpec]) -> int | None:
    """Returns how many samples a request holds, if its tensors hold them on their first axis."""
    sizes = {array.shape[:1] for array in request.values()}
    free = all(spec.shape[:1] == (-1,) for spec in specs)
    return sizes.pop()[0] if specs and free and len(sizes) == 1 and sizes != {()} else None


def _interface(model: ModelSpec) -> Interface:
    """Returns the model's inputs as feeding knows them: the first axis is that of samples where it takes any size."""
    import numpy as np
    from tritonclient.utils import triton_to_np_dtype

    tensors = []
    for spec in model.inputs:
        dtype = triton_to_np_dtype(spec.datatype)
        if dtype is None or dtype is np.object_:
            raise UsageError(f"'{model.name}' takes {spec}, which datasets do not hold", hint="give --run")
        first, *rest = spec.shape or (1,)
        sizes = [size if size >= 0 else f"{spec.name}.{axis}" for axis, size in enumerate(rest, 1)]
        tensors.append(Tensor(spec.name, np.dtype(dtype).name, (BATCH if first == -1 else first, *sizes)))
    dims = {size: Dim(0, 1, _ANY) for tensor in tensors for size in tensor.shape if isinstance(size, str)}
    return Interface(tuple(tensors), (), dims)


def _fits(shape: Sequence[int], wanted: Sequence[int]) -> bool:
    return len(shape) == len(wanted) and all(want in {-1, size} for size, want in zip(shape, wanted, strict=True))


def _names(tensors: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in tensors) or "nothing"
