"""Learns the true shapes of a model's outputs by running it: what a graph declares may be stale or absent."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from optkit.core.errors import OptkitError, StepFailed
from optkit.core.interface import Interface, Tensor
from optkit.measure.feeding import made_up_inputs
from optkit.measure.parity import compare_outputs
from optkit.measure.sizes import odd_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from optkit.runtimes.session import Session

    Shape = tuple[int, ...]
    Axis = int | str
    Seen = tuple[Mapping[str, int], Mapping[str, Shape]]

_ROUNDING = 1e-4
"""Relative to an output's scale: what threads that add in another order may change."""


def observe_outputs(session: Session, interface: Interface) -> Interface:
    """Returns `interface` with its outputs' dtypes and shapes as the model gives them.

    Each dynamic dimension is varied alone: to an end, which must work, and to an odd size, if that does.

    Raises:
        StepFailed: The model does not run at sizes that the interface declares.
    """
    base = interface.sizes("opt")
    first = session.run(made_up_inputs(interface, base, seed=0))
    seen = [(base, _shapes(first))]
    for sizes, required in _alone(interface, base):
        try:
            seen.append((sizes, _shapes(session.run(made_up_inputs(interface, sizes, seed=0)))))
        except OptkitError:
            if required:
                raise
    found = with_shapes(interface, {name: array.dtype.name for name, array in first.items()}, seen)
    declared = {tensor.name: tensor.shape for tensor in interface.outputs}
    return replace(found, outputs=tuple(_without_doubts(each, declared.get(each.name, ())) for each in found.outputs))


def with_shapes(interface: Interface, dtypes: Mapping[str, str], seen: Sequence[Seen]) -> Interface:
    """Returns `interface` with the outputs that were seen.

    An axis that always has the size of a dimension takes its name, one that never changes is its size, and any other
    is called `<output>_<axis>`.

    Args:
        interface: Inputs, dimensions, and the outputs as they are declared.
        dtypes: Output → dtype.
        seen: Sizes of the dynamic dimensions, and the outputs' shapes there. The ranks do not vary.

    Raises:
        StepFailed: An output has more axes at one size than at another.
    """
    declared = {tensor.name: tensor.shape for tensor in interface.outputs}
    outputs = []
    for name, dtype in dtypes.items():
        moved = [(sizes, shapes[name]) for sizes, shapes in seen]
        _check_rank(name, moved)
        axes = [_axis([(sizes, shape[axis]) for sizes, shape in moved]) for axis in range(len(moved[0][1]))]
        outputs.append(Tensor(name, dtype, _named(name, axes, declared.get(name, ()), interface)))
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


def refuse_random(first: Mapping[str, NDArray[Any]], again: Mapping[str, NDArray[Any]]) -> None:
    """Checks that a model gives the same for the same inputs.

    Raises:
        StepFailed: An output differs: nothing could be compared with it.
    """
    for output in compare_outputs(first, again):
        if not output.relative_to_scale <= _ROUNDING:
            raise StepFailed(
                f"output '{output.output}' differs from run to run on the same inputs",
                hint="the model may draw random numbers, keep dropout on, or count its calls",
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


def _without_doubts(seen: Tensor, declared: Sequence[Axis]) -> Tensor:
    """Returns the output with a name for each size that is not the declared one: it depends on values."""
    shape = list(seen.shape)
    for index, (size, said) in enumerate(zip(seen.shape, declared, strict=False)):
        if isinstance(size, int) and isinstance(said, int) and size != said:
            shape[index] = f"{seen.name}_{index}"
    return replace(seen, shape=tuple(shape))


def _check_rank(output: str, moved: Sequence[tuple[Mapping[str, int], Shape]]) -> None:
    base, first = moved[0]
    for sizes, shape in moved[1:]:
        if len(shape) != len(first):
            dim = next(name for name, size in sizes.items() if size != base[name])
            raise StepFailed(
                f"output '{output}' has shape {first}, and {shape} at another size of {dim}",
                hint=f"fix {dim} at one size: `min`, `opt` and `max` of it in `dims`",
            )


def _alone(interface: Interface, base: Mapping[str, int]) -> Iterator[tuple[dict[str, int], bool]]:
    """Yields sizes with one dimension changed, and whether the model must take them."""
    for name, dim in interface.dims.items():
        end = dim.min if dim.min != dim.opt else dim.max
        odd = odd_size(dim)
        if end != dim.opt:
            yield {**base, name: end}, True
        if odd not in {end, dim.opt}:
            yield {**base, name: odd}, False


def _shapes(outputs: Mapping[str, NDArray[Any]]) -> dict[str, Shape]:
    return {name: array.shape for name, array in outputs.items()}


def _axis(sizes: Sequence[tuple[Mapping[str, int], int]]) -> Axis | None:
    """Returns the size, the dimension that it follows, or None if it follows no single one."""
    if len({size for _, size in sizes}) == 1:
        return sizes[0][1]
    return next((dim for dim in sizes[0][0] if all(given[dim] == size for given, size in sizes)), None)


def _named(name: str, axes: Sequence[Axis | None], declared: Sequence[Axis], interface: Interface) -> tuple[Axis, ...]:
    """Names the axes that follow none, and keeps the declared name of one whose dimension cannot vary."""
    constant = {dim: sizes.min for dim, sizes in interface.dims.items() if sizes.min == sizes.max}
    shape: list[Axis] = []
    for index, axis in enumerate(axes):
        said = declared[index] if index < len(declared) else None
        if isinstance(said, str) and said in constant and constant[said] == axis:
            shape.append(said)
        else:
            shape.append(f"{name}_{index}" if axis is None else axis)
    return tuple(shape)
