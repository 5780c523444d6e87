"""Finds the polynomial that a quantity follows in the dynamic dimensions, from its values at some sizes.

Sizes in a graph are sums and products of its dimensions, and, where a stride divides, their quotients rounded down. So
costs are polynomials exactly, or on every p-th size of a dimension. Newton's divided differences over a grid find
them; values off the grid must confirm each.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

from optkit.graph.polynomial import Polynomial

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    Sizes = Mapping[str, int]
    Measure = Callable[[Sizes], Mapping[str, int]]

_DEGREE = 3
_STEPS = (1, 2, 4, 8, 16, 32, 64)
_CONFIRMING = 2
_MOST_POINTS = 160
_FAR = 16
"""Times the tuned size at which a formula must hold, too."""


@dataclass(frozen=True, slots=True)
class Fit:
    """Quantities as polynomials.

    Attributes:
        formulas: Quantity → its polynomial; one that follows none is left out.
        steps: Dimension → p, where the formulas hold at the tuned size plus multiples of p only.
    """

    formulas: Mapping[str, Polynomial] = field(default_factory=dict)
    steps: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Axis:
    name: str
    start: int
    step: int
    degree: int

    def size(self, index: int) -> int:
        return self.start + index * self.step


def fit(measure: Measure, tuned: Sizes, leading: str) -> Fit:
    """Returns what polynomials the measured quantities follow around the tuned sizes.

    Args:
        measure: Gives each quantity at some sizes. A quantity that it leaves out, there or elsewhere, is not fitted.
        tuned: The sizes to start from.
        leading: The quantity that decides at which steps of a dimension to look.
    """
    remembered: dict[tuple[int, ...], Mapping[str, int]] = {}

    def value(sizes: Sizes) -> Mapping[str, int]:
        key = tuple(sizes.values())
        if key not in remembered:
            remembered[key] = measure(sizes)
        return remembered[key]

    steps = {name: _step(value, leading, tuned, name) for name in tuned}
    formulas: dict[str, Polynomial] = {}
    for quantity in value(tuned):
        axes = [_axis(value, quantity, tuned, name, step) for name, step in steps.items()]
        known = [axis for axis in axes if axis is not None]
        if len(known) == len(axes) and (found := _formula(value, quantity, known)) is not None:
            formulas[quantity] = found
    return Fit(formulas, {name: step for name, step in steps.items() if step > 1} if formulas else {})


def _step(value: Measure, quantity: str, tuned: Sizes, name: str) -> int:
    """Returns the smallest step along a dimension at which the quantity follows a polynomial; 1 if there is none."""
    return next((step for step in _STEPS if _axis(value, quantity, tuned, name, step) is not None), 1)


def _axis(value: Measure, quantity: str, tuned: Sizes, name: str, step: int) -> _Axis | None:
    """Returns the degree in one dimension; None if it is above what is looked for."""
    sizes = [tuned[name] + index * step for index in range(_DEGREE + _CONFIRMING + 1)]
    values: list[int] = []
    for size in sizes:
        found = value({**tuned, name: size}).get(quantity)
        if found is None:
            return None
        values.append(found)
    degree = _degree(values)
    return _Axis(name, tuned[name], step, degree) if degree <= _DEGREE else None


def _degree(values: Sequence[int]) -> int:
    """Returns the degree of the polynomial through equidistant values: how often differences must be taken."""
    for degree in range(len(values)):
        if not any(later - first for first, later in itertools.pairwise(values)):
            return degree
        values = [later - first for first, later in itertools.pairwise(values)]
    return len(values)


def _formula(value: Measure, quantity: str, axes: Sequence[_Axis]) -> Polynomial | None:
    grid = list(itertools.product(*(range(axis.degree + 1) for axis in axes)))
    if len(grid) > _MOST_POINTS:
        return None
    values: dict[tuple[int, ...], Polynomial] = {}
    for point in grid:
        found = value(_sizes(axes, point)).get(quantity)
        if found is None:
            return None
        values[point] = Polynomial.constant(found)
    formula = _interpolated(values, axes)
    return formula if all(_confirms(value, quantity, formula, sizes) for sizes in _beyond(axes)) else None


def _confirms(value: Measure, quantity: str, formula: Polynomial, sizes: Sizes) -> bool:
    return formula.at(sizes) == value(sizes).get(quantity)


def _beyond(axes: Sequence[_Axis]) -> Iterator[dict[str, int]]:
    """Yields sizes beyond the grid: near, and far, where another part of a graph may be the largest."""
    for turn in range(_CONFIRMING):
        yield _sizes(axes, [axis.degree + 1 + turn + index % 2 for index, axis in enumerate(axes)])
    far = [(_FAR - 1) * axis.start // axis.step + axis.degree for axis in axes]
    yield _sizes(axes, far)
    for index, axis in enumerate(axes):  # one dimension may grow alone
        yield _sizes(axes, [far[index] if each is axis else 0 for each in axes])


def _sizes(axes: Sequence[_Axis], point: Sequence[int]) -> dict[str, int]:
    return {axis.name: axis.size(index) for axis, index in zip(axes, point, strict=True)}


def _interpolated(values: dict[tuple[int, ...], Polynomial], axes: Sequence[_Axis]) -> Polynomial:
    """Interpolates along the last dimension, and so on to the first."""
    for axis in reversed(axes):
        rows = sorted({point[:-1] for point in values})
        values = {row: _newton([values[*row, index] for index in range(axis.degree + 1)], axis) for row in rows}
    return values[()]


def _newton(values: list[Polynomial], axis: _Axis) -> Polynomial:
    """Returns the polynomial through values at `axis.size(0)`, `axis.size(1)` and so on."""
    result, basis = Polynomial(), Polynomial.constant(1)
    differences = values
    for index in range(len(values)):
        result += basis * differences[0]
        shifted = Polynomial.dim(axis.name) - Polynomial.constant(axis.size(index))
        basis = basis * shifted * Polynomial.constant(Fraction(1, axis.step * (index + 1)))
        differences = [later - first for first, later in itertools.pairwise(differences)]
    return result
