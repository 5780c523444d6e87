"""Learns the true shapes of a model's outputs by running it: what a graph declares may be stale or absent."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from optkit.core.errors import StepFailed
from optkit.core.interface import Interface, Tensor
from optkit.measure.feeding import made_up_inputs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from optkit.runtimes import Session

    Shape = tuple[int, ...]
    Axis = int | str


def observe_outputs(session: Session, interface: Interface) -> Interface:
    """Returns `interface` with its outputs' dtypes and shapes as the model gives them.

    Each dynamic dimension is varied alone. An axis that follows one of them takes its name, one that never changes its
    size, and any other the name `<output>_<axis>`.

    Raises:
        StepFailed: The model does not run at these sizes, or an output has another number of axes at some of them.
    """
    base = interface.sizes("opt")
    reference = session.run(made_up_inputs(interface, base, seed=0))
    changed = {
        name: {name: dim.min if dim.min != dim.opt else dim.max}
        for name, dim in interface.dims.items()
        if dim.min != dim.max
    }
    seen = {dim: session.run(made_up_inputs(interface, base | size, seed=0)) for dim, size in changed.items()}
    _check_ranks(reference, seen)
    declared = {tensor.name: tensor.shape for tensor in interface.outputs}
    outputs = []
    for name, array in reference.items():
        moved = {dim: results[name].shape for dim, results in seen.items()}
        axes = [_axis(axis, array.shape, moved, base, changed) for axis in range(array.ndim)]
        shape = _named(name, axes, declared.get(name, ()), interface)
        outputs.append(Tensor(name, array.dtype.name, shape))
    return replace(interface, outputs=tuple(outputs))


def refuse_nan(outputs: Mapping[str, NDArray[Any]], where: str) -> None:
    """Checks what a model gave for made-up inputs, before anything is built on it.

    Raises:
        StepFailed: An output holds NaN; `where` tells in what.
    """
    import numpy as np

    for name, array in outputs.items():
        if array.dtype.kind == "f" and np.isnan(array).any():
            raise StepFailed(
                f"output '{name}' holds NaN in {where} already, on made-up inputs",
                hint="check the weights; declare the `range` of inputs that must not be arbitrary",
            )


def shape_conflict(declared: Tensor, observed: Tensor) -> str:
    """Returns how the shape that a recipe declares for an output differs from what was seen; empty if it does not.

    `...` at the end of a declared shape stands for any further axes.
    """
    wanted = declared.shape
    open_ended = wanted[-1:] == ("...",)
    wanted = wanted[:-1] if open_ended else wanted
    seen = observed.shape[: len(wanted)] if open_ended else observed.shape
    if open_ended and wanted == ("batch",):  # assumed, not declared
        return ""
    if wanted == seen:
        return ""
    return f"output {declared.name} has shape {list(observed.shape)}, but {list(declared.shape)} is declared"


def _check_ranks(reference: Mapping[str, NDArray[Any]], seen: Mapping[str, Mapping[str, NDArray[Any]]]) -> None:
    for dim, results in seen.items():
        for name, array in reference.items():
            if results[name].ndim != array.ndim:
                raise StepFailed(
                    f"output '{name}' has shape {array.shape}, and {results[name].shape} at another size of {dim}",
                    hint=f"fix {dim} at one size: `min`, `opt` and `max` of it in `dims`",
                )


def _axis(
    axis: int,
    shape: Shape,
    moved: Mapping[str, Shape],
    base: Mapping[str, int],
    changed: Mapping[str, Mapping[str, int]],
) -> Axis | None:
    """Returns the size, the dimension that it follows, or None if it follows no single one."""
    movers = [dim for dim, other in moved.items() if other[axis] != shape[axis]]
    if not movers:
        return shape[axis]
    dim = movers[0]
    follows = len(movers) == 1 and shape[axis] == base[dim] and moved[dim][axis] == changed[dim][dim]
    return dim if follows else None


def _named(name: str, axes: Sequence[Axis | None], declared: Sequence[Axis], interface: Interface) -> tuple[Axis, ...]:
    """Names the axes that follow none, and keeps the declared name of one whose dimension cannot vary."""
    constant = {dim: sizes.min for dim, sizes in interface.dims.items() if sizes.min == sizes.max}
    shape: list[Axis] = []
    for index, axis in enumerate(axes):
        said = declared[index] if index < len(declared) else None
        if isinstance(said, str) and said in constant and constant[said] == axis:
            shape.append(said)
        elif axis is None or (isinstance(said, int) and said != axis):  # what it is depends on values
            shape.append(f"{name}_{index}")
        else:
            shape.append(axis)
    return tuple(shape)
