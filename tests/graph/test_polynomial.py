from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from optkit.graph.fit import fit
from optkit.graph.polynomial import Polynomial, short

NAMES = ("batch", "height", "seq")
SIZES = st.fixed_dictionaries({name: st.integers(1, 50) for name in NAMES})
MONOMIALS = st.dictionaries(st.sampled_from(NAMES), st.integers(1, 2), max_size=3).map(
    lambda d: tuple(sorted(d.items()))
)
FACTORS = st.integers(-1000, 1000).map(Fraction)
POLYNOMIALS = st.lists(st.tuples(MONOMIALS, FACTORS), max_size=5).map(Polynomial.of)


@given(POLYNOMIALS, POLYNOMIALS, SIZES)
def test_arithmetic_commutes_with_evaluation(a: Polynomial, b: Polynomial, sizes: dict[str, int]) -> None:
    assert (a + b).at(sizes) == a.at(sizes) + b.at(sizes)
    assert (a - b).at(sizes) == a.at(sizes) - b.at(sizes)
    assert (a * b).at(sizes) == a.at(sizes) * b.at(sizes)


@given(POLYNOMIALS, POLYNOMIALS)
def test_equal_polynomials_have_equal_terms(a: Polynomial, b: Polynomial) -> None:
    assert a + b == b + a
    assert a * b == b * a
    assert a - a == Polynomial()


@given(POLYNOMIALS, SIZES)
def test_a_fit_finds_the_polynomial_behind_the_values(wanted: Polynomial, tuned: dict[str, int]) -> None:
    found = fit(lambda sizes: {"x": int(wanted.at(sizes))}, tuned, leading="x")
    assert found.formulas["x"] == wanted
    assert not found.steps


def test_a_quotient_that_is_rounded_down_holds_at_steps() -> None:
    found = fit(lambda sizes: {"x": 3 * (sizes["height"] // 4) * sizes["batch"]}, {"batch": 2, "height": 32}, "x")
    assert found.steps == {"height": 4}
    assert found.formulas["x"].terms == (((("batch", 1), ("height", 1)), Fraction(3, 4)),)


def test_what_is_no_polynomial_has_no_formula() -> None:
    assert fit(lambda sizes: {"x": 2 ** sizes["n"]}, {"n": 3}, "x").formulas == {}
    assert fit(lambda sizes: {"x": 1} if sizes["n"] < 6 else {}, {"n": 3}, "x").formulas == {}
    bumpy = fit(lambda sizes: {"x": sizes["n"], "y": sizes["n"] ** 2 % 7}, {"n": 3}, "x")
    assert set(bumpy.formulas) == {"x"}


def test_what_changes_far_away_has_no_formula() -> None:
    """A peak moves from one part of a graph to another."""
    assert fit(lambda sizes: {"x": max(1000 * sizes["n"], sizes["n"] ** 2 * 10)}, {"n": 16}, "x").formulas == {}


def test_text() -> None:
    batch, seq = Polynomial.dim("batch"), Polynomial.dim("seq")
    text = str(batch * (Polynomial.constant(1_200_000) + Polynomial.constant(3400) * seq + seq * seq))
    assert text == "batch·(1.2 M + 3.4 k·seq + seq²)"
    assert str(Polynomial.constant(5) * seq - Polynomial.constant(2)) == "- 2 + 5·seq"
    assert str(Polynomial()) == "0"
    assert str(batch * seq) == "batch·seq"
    assert [short(value) for value in (0, 999, 1000, 1234567, 5e9)] == ["0", "999", "1 k", "1.235 M", "5 G"]
