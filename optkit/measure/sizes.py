"""Which sizes of the dynamic dimensions to try: the ends, the tuned size, and those that expose baked-in sizes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from optkit.core.interface import shape_at

if TYPE_CHECKING:
    from collections.abc import Mapping

    from optkit.core.interface import Dim, Interface

_MOST_ELEMENTS = 2**24
"""Input elements of one case; activations take many times as much memory."""
_ALIGNMENT = 8
"""Padding to a multiple of this breaks on sizes that are multiples already."""


def required_cases(interface: Interface) -> list[dict[str, int]]:
    """Returns the smallest, the largest and the tuned sizes, which a model must take as it declares them."""
    return _distinct([_capped(interface, interface.sizes(which))[0] for which in ("min", "max", "opt")])


def parity_cases(interface: Interface) -> tuple[list[dict[str, int]], list[str]]:
    """Returns at most eight sets of sizes, and a note for each that was made smaller to save memory.

    Besides the required ones: odd sizes (another one for each dimension, so that no two dimensions are mistaken for
    each other), multiples of eight, one above the smallest, and large against small by turns.
    """
    names = list(interface.dims)
    dims = [interface.dims[name] for name in names]
    rows = [
        [dim.min for dim in dims],
        [dim.max for dim in dims],
        [dim.opt for dim in dims],
        [odd_size(dim, turn) for turn, dim in enumerate(dims)],
        [_aligned(dim) for dim in dims],
        [min(dim.min + 1, dim.max) for dim in dims],
        [dim.max if turn % 2 else dim.min for turn, dim in enumerate(dims)],
        [dim.min if turn % 2 else dim.max for turn, dim in enumerate(dims)],
    ]
    capped = [_capped(interface, dict(zip(names, row, strict=True))) for row in rows]
    return _distinct([sizes for sizes, _ in capped]), list(dict.fromkeys(note for _, note in capped if note))


def odd_size(dim: Dim, turn: int = 0) -> int:
    """Returns an odd size that is neither the smallest nor tuned for, near the middle; the `turn`-th of them.

    Where there is none, the size that is tuned for.
    """
    odd = [size for size in range(dim.min | 1, min(dim.max, dim.min + 4096), 2) if size not in {dim.min, dim.opt}]
    return odd[(len(odd) // 2 + turn) % len(odd)] if odd else dim.opt


def _aligned(dim: Dim) -> int:
    aligned = dim.max // _ALIGNMENT * _ALIGNMENT
    return aligned if aligned >= dim.min and aligned > 0 else dim.opt


def _capped(interface: Interface, sizes: dict[str, int]) -> tuple[dict[str, int], str]:
    """Halves the largest dimension, again and again, until the inputs fit the cap."""
    capped = dict(sizes)
    while _elements(interface, capped) > _MOST_ELEMENTS:
        shrinkable = [name for name, dim in interface.dims.items() if capped[name] > dim.min]
        if not shrinkable:
            break
        largest = max(shrinkable, key=lambda name: capped[name])
        capped[largest] = max(interface.dims[largest].min, capped[largest] // 2)
    changes = [f"{name} {sizes[name]} → {capped[name]}" for name in sizes if sizes[name] != capped[name]]
    return capped, f"{', '.join(changes)}: above {_MOST_ELEMENTS} input elements" if changes else ""


def _elements(interface: Interface, sizes: Mapping[str, int]) -> int:
    return sum(math.prod(shape_at(tensor, sizes)) for tensor in interface.inputs)


def _distinct(cases: list[dict[str, int]]) -> list[dict[str, int]]:
    return [case for index, case in enumerate(cases) if case not in cases[:index]]
