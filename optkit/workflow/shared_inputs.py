"""Inputs that several models take alike, so that they can be timed and compared on the same ones."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from optkit.core.errors import UsageError
from optkit.core.interface import Dim

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from optkit.core.interface import Interface, Tensor

    Size = int | str


def shared_inputs(names: Sequence[str], interfaces: Sequence[Interface]) -> Interface:
    """Returns the first interface, narrowed to what all of the models take: a size that one fixes is fixed.

    Args:
        names: Of the models, for messages.
        interfaces: In the same order.

    Raises:
        UsageError: Inputs differ in name, dtype or rank, or no size suits all models.
    """
    shared = interfaces[0]
    for name, other in zip(names[1:], interfaces[1:], strict=True):
        shared = _narrowed(shared, other, f"{name} cannot take the inputs of {names[0]}")
    return shared


def _narrowed(shared: Interface, other: Interface, refusal: str) -> Interface:
    pairs = list(_axes(shared, other, refusal))
    fixed = dict(_fixed(pairs, refusal))
    dims = {
        name: _common(dim, [other.dims[theirs] for ours, theirs in pairs if ours == name and isinstance(theirs, str)])
        for name, dim in shared.dims.items()
        if name not in fixed
    }
    empty = [name for name, dim in dims.items() if dim.min > dim.max]
    if empty:
        raise UsageError(f"{refusal}: no size of {empty[0]} suits both")
    inputs = tuple(
        replace(tensor, shape=tuple(fixed.get(size, size) for size in tensor.shape)) for tensor in shared.inputs
    )
    return replace(shared, inputs=inputs, dims=dims)


def _axes(shared: Interface, other: Interface, refusal: str) -> Iterator[tuple[Size, Size]]:
    """Yields the size of each axis of each input in both models."""
    theirs = {tensor.name: tensor for tensor in other.inputs}
    ours = {tensor.name: tensor for tensor in shared.inputs}
    if ours.keys() != theirs.keys():
        raise UsageError(f"{refusal}: it takes {', '.join(theirs) or 'none'}, not {', '.join(ours) or 'none'}")
    for name, tensor in ours.items():
        if tensor.dtype != theirs[name].dtype or len(tensor.shape) != len(theirs[name].shape):
            raise UsageError(f"{refusal}: {name} is {_shown(theirs[name])}, not {_shown(tensor)}")
        yield from zip(tensor.shape, theirs[name].shape, strict=True)


def _fixed(pairs: Sequence[tuple[Size, Size]], refusal: str) -> Iterator[tuple[Size, int]]:
    for ours, theirs in pairs:
        if isinstance(theirs, int):
            if isinstance(ours, int) and ours != theirs:
                raise UsageError(f"{refusal}: an axis has the size {theirs}, not {ours}")
            yield ours, theirs


def _common(dim: Dim, others: Sequence[Dim]) -> Dim:
    low, high = max(each.min for each in (dim, *others)), min(each.max for each in (dim, *others))
    return Dim(low, max(low, min(dim.opt, high)), high)


def _shown(tensor: Tensor) -> str:
    return f"{tensor.dtype} [{', '.join(map(str, tensor.shape))}]"
