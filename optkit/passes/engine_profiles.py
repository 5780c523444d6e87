"""Optimization profiles: the ranges of shapes that an engine is built for."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

from optkit.core.errors import UsageError
from optkit.core.interface import shape_at
from optkit.core.validate import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from optkit.core.interface import Dim, Interface

    Profile = Mapping[str, Dim]
    Shapes = dict[str, dict[str, list[int]]]

WHICH = ("min", "opt", "max")


def full_profiles(interface: Interface, given: Sequence[Profile]) -> list[dict[str, Dim]]:
    """Returns the profiles with every dynamic dimension: one that a profile leaves out has the model's own sizes.

    Raises:
        UsageError: A profile names a dimension that the model does not have, an input has one of unknown size, or
            sizes that the model must take fit no profile.
    """
    for tensor in interface.inputs:
        for size in tensor.shape:
            if isinstance(size, str) and size not in interface.dims:
                raise UsageError(
                    f"the dimension {size!r} of input {tensor.name} has no sizes", hint=f"add {size} to model.dims"
                )
    for profile in given:
        for name in profile:
            if name not in interface.dims:
                hint = did_you_mean(name, interface.dims) or "the model has none"
                raise UsageError(f"a profile names {name!r}, which is no dynamic dimension of the model", hint=hint)
    profiles = [{**interface.dims, **profile} for profile in given] or [dict(interface.dims)]
    _check_covered(interface, profiles)
    return profiles


def shapes_of(interface: Interface, profile: Profile) -> Shapes:
    """Returns input → min, opt and max → shape."""
    sizes = {which: {name: getattr(dim, which) for name, dim in profile.items()} for which in WHICH}
    return {
        tensor.name: {which: list(shape_at(tensor, sizes[which])) for which in WHICH} for tensor in interface.inputs
    }


def _check_covered(interface: Interface, profiles: Sequence[Profile]) -> None:
    """Refuses sizes between the model's smallest and largest that no profile covers."""
    for sizes in _critical(interface, profiles):
        if not any(all(p[name].min <= size <= p[name].max for name, size in sizes.items()) for p in profiles):
            shown = ", ".join(f"{name} = {size}" for name, size in sizes.items())
            raise UsageError(
                f"no profile covers {shown}, which the model must take",
                hint="widen a profile, or narrow model.dims",
            )


def _critical(interface: Interface, profiles: Sequence[Profile]) -> Iterator[dict[str, int]]:
    """Yields the ends of the model's ranges and what lies just outside a profile: if any size is missed, so is one."""
    edges = []
    for name, dim in interface.dims.items():
        near = {edge for profile in profiles for edge in (profile[name].min - 1, profile[name].max + 1)}
        edges.append(sorted({dim.min, dim.max} | {edge for edge in near if dim.min <= edge <= dim.max}))
    for combination in product(*edges):
        yield dict(zip(interface.dims, combination, strict=True))
