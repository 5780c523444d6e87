"""Polynomials in the dynamic dimensions of a model, with exact coefficients."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Monomial = tuple[tuple[str, int], ...]
"""Dimension and power, sorted by name; powers are positive, and the empty one is 1."""

_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_UNITS = ("", "k", "M", "G", "T", "P", "E")
_STEP = 1000


@dataclass(frozen=True, slots=True)
class Polynomial:
    """A sum of monomials times coefficients.

    Attributes:
        terms: Monomial → coefficient, without zeros; `Polynomial.of` sees to that, and to the order.
    """

    terms: tuple[tuple[Monomial, Fraction], ...] = ()

    @classmethod
    def of(cls, terms: Iterable[tuple[Monomial, Fraction]]) -> Polynomial:
        """Returns the sum of the terms."""
        total: dict[Monomial, Fraction] = {}
        for monomial, factor in terms:
            total[monomial] = total.get(monomial, Fraction()) + factor
        kept = [(monomial, factor) for monomial, factor in total.items() if factor]
        return cls(tuple(sorted(kept, key=lambda term: (_degree(term[0]), term[0]))))

    @classmethod
    def constant(cls, value: Fraction | int) -> Polynomial:
        """Returns a polynomial without dimensions."""
        return cls.of([((), Fraction(value))])

    @classmethod
    def dim(cls, name: str) -> Polynomial:
        """Returns a dimension by itself."""
        return cls((((((name, 1),)), Fraction(1)),))

    def __add__(self, other: Polynomial) -> Polynomial:
        return Polynomial.of([*self.terms, *other.terms])

    def __sub__(self, other: Polynomial) -> Polynomial:
        return self + other * Polynomial.constant(-1)

    def __mul__(self, other: Polynomial) -> Polynomial:
        return Polynomial.of((_product(a, b), x * y) for a, x in self.terms for b, y in other.terms)

    def at(self, sizes: Mapping[str, int]) -> Fraction:
        """Returns the value at sizes of the dimensions."""
        return sum(
            (factor * math.prod(sizes[name] ** power for name, power in monomial) for monomial, factor in self.terms),
            Fraction(),
        )

    def __str__(self) -> str:
        """What all terms share stands before the bracket: `batch·(1.2 M + 3.4 k·seq)`."""
        if not self.terms:
            return "0"
        shared = _shared([monomial for monomial, _ in self.terms])
        inner = [(_without(monomial, shared), factor) for monomial, factor in self.terms]
        if len(inner) == 1:
            return _term(self.terms[0][0], inner[0][1])
        texts = [_term(monomial, abs(factor)) for monomial, factor in inner]
        signs = ["-" if factor < 0 else "+" for _, factor in inner]
        text = " ".join(f"{sign} {each}" for sign, each in zip(signs, texts, strict=True)).removeprefix("+ ")
        return f"{_named(shared)}·({text})" if shared else text


def short(value: Fraction | float) -> str:
    """Returns a count with four significant digits and a decimal unit, such as 1.234 M."""
    unit, scaled = 0, float(value)
    while abs(scaled) >= _STEP and unit < len(_UNITS) - 1:
        unit, scaled = unit + 1, scaled / _STEP
    return f"{scaled:.4g} {_UNITS[unit]}".rstrip()


def _term(monomial: Monomial, factor: Fraction) -> str:
    if not monomial:
        return short(factor)
    return _named(monomial) if factor == 1 else f"{short(factor)}·{_named(monomial)}"


def _named(monomial: Monomial) -> str:
    return "·".join(name + (str(power).translate(_SUPERSCRIPTS) if power > 1 else "") for name, power in monomial)


def _degree(monomial: Monomial) -> int:
    return sum(power for _, power in monomial)


def _product(first: Monomial, second: Monomial) -> Monomial:
    powers = dict(first)
    for name, power in second:
        powers[name] = powers.get(name, 0) + power
    return tuple(sorted(powers.items()))


def _shared(monomials: list[Monomial]) -> Monomial:
    powers = [dict(monomial) for monomial in monomials]
    common = {name: min(each.get(name, 0) for each in powers) for name in powers[0]}
    return tuple(sorted((name, power) for name, power in common.items() if power))


def _without(monomial: Monomial, shared: Monomial) -> Monomial:
    less = dict(shared)
    return tuple((name, power - less.get(name, 0)) for name, power in monomial if power > less.get(name, 0))
