from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from optkit.graph.simplify.no_ops import remove_no_ops

if TYPE_CHECKING:
    from collections.abc import Callable

# -0.0, NaN and infinities must come out as they went in.
X = np.array([[-0.0, np.nan, np.inf], [1.5, -np.inf, 0.0]], np.float32)
ONE, ZERO, MINUS_ZERO = (np.array(value, np.float32) for value in (1, 0, -0.0))


def body(nodes: str, shape: str = "[2, 3]") -> str:
    """A graph in which something stands on both sides of what may go."""
    return f"(float{shape} x) => (float{shape} y) {{ a = Abs(x) n = Neg(a) {nodes} y = Neg(b) }}"


FIRES = {
    "identity": ("b = Identity(n)", {}),
    "dropout at inference": ("b = Dropout(n)", {}),
    "dropout with a constant mode": ("b = Dropout(n, r, t)", {"r": np.array(0.5, np.float32), "t": np.zeros((), bool)}),
    "cast to the same": ("b = Cast<to = 1>(n)", {}),
    "cast like itself": ("b = CastLike(n, x)", {}),
    "transpose that keeps the order": ("b = Transpose<perm = [0, 1]>(n)", {}),
    "reshape to the same": ("b = Reshape(n, s)", {"s": np.array([2, 3])}),
    "reshape by 0 and -1": ("b = Reshape(n, s)", {"s": np.array([0, -1])}),
    "flatten of a matrix": ("b = Flatten(n)", {}),
    "expand to ones": ("b = Expand(n, s)", {"s": np.array([1, 1])}),
    "expand to what is there": ("b = Expand(n, s)", {"s": np.array([3])}),
    "tile once": ("b = Tile(n, s)", {"s": np.array([1, 1])}),
    "pad by nothing": ("b = Pad(n, s)", {"s": np.array([0, 0, 0, 0])}),
    "slice of all": ("b = Slice(n, s, e)", {"s": np.array([0, 0]), "e": np.array([2**31 - 1, 2**63 - 1])}),
    "concat of one": ("b = Concat<axis = 0>(n)", {}),
    "sum of one": ("b = Sum(n)", {}),
    "split into one": ("b = Split<axis = 0, num_outputs = 1>(n)", {}),
    "times one": ("b = Mul(n, w)", {"w": ONE}),
    "one times": ("b = Mul(w, n)", {"w": np.ones((1, 3), np.float32)}),
    "over one": ("b = Div(n, w)", {"w": ONE}),
    "minus zero": ("b = Sub(n, w)", {"w": ZERO}),
    "plus minus zero": ("b = Add(w, n)", {"w": MINUS_ZERO}),
    "to the power of one": ("b = Pow(n, w)", {"w": ONE}),
}


@pytest.mark.parametrize(("nodes", "weights"), FIRES.values(), ids=FIRES)
def test_what_does_nothing_goes(
    nodes: str, weights: dict[str, np.ndarray], rewritten: Callable[..., list[str]]
) -> None:
    assert rewritten(remove_no_ops, body(nodes), {"x": X}, **weights) == ["Abs", "Neg", "Neg"]


STAYS = {
    "plus zero makes 0.0 of -0.0": ("b = Add(n, w)", {"w": ZERO}),
    "minus minus zero does, too": ("b = Sub(n, w)", {"w": MINUS_ZERO}),
    "one over": ("b = Div(w, n)", {"w": ONE}),
    "zero minus": ("b = Sub(w, n)", {"w": ZERO}),
    "one to the power": ("b = Pow(w, n)", {"w": ONE}),
    "not all ones": ("b = Mul(n, w)", {"w": np.array([1, 1, 2], np.float32)}),
    "pad by one": ("p = Pad(n, s) b = Slice(p, u, e)", {
        "s": np.array([0, 0, 1, 0]), "u": np.array([0]), "e": np.array([2])}),
    "slice of a part": ("p = Slice(n, u, e) b = Concat<axis = 0>(p, p)", {
        "u": np.array([1]), "e": np.array([2**31 - 1])}),
    "slice backwards": ("b = Slice(n, u, e, d, t)", {
        "u": np.array([-1]), "e": np.array([-(2**31)]), "d": np.array([0]), "t": np.array([-1])}),
    "transpose": ("p = Transpose<perm = [1, 0]>(n) b = Transpose<perm = [1, 0]>(p)", {}),
}  # fmt: skip


@pytest.mark.parametrize(("nodes", "weights"), STAYS.values(), ids=STAYS)
def test_what_does_something_stays(
    nodes: str, weights: dict[str, np.ndarray], rewritten: Callable[..., list[str]]
) -> None:
    assert len(rewritten(remove_no_ops, body(nodes), {"x": X}, **weights)) == 3 + nodes.count("(")


def test_an_operand_that_widens_the_result_stays(rewritten: Callable[..., list[str]]) -> None:
    text = "(float[3] x) => (float[2, 3] y) { b = Mul(x, w) y = Neg(b) }"
    assert rewritten(remove_no_ops, text, {"x": X[0]}, w=np.ones((2, 1), np.float32)) == ["Mul", "Neg"]


def test_a_size_that_may_be_one_is_not_taken_for_the_operands(rewritten: Callable[..., list[str]]) -> None:
    text = "(float[N, 3] x) => (float[M, 3] y) { b = Mul(x, w) y = Neg(b) }"
    assert rewritten(remove_no_ops, text, {"x": X[:1]}, w=np.ones((2, 1), np.float32)) == ["Mul", "Neg"]


def test_dropout_that_may_train_stays(rewritten: Callable[..., list[str]]) -> None:
    text = "(float[2] x, bool t) => (float[2] y) { b = Dropout(x, r, t) y = Neg(b) }"
    assert rewritten(remove_no_ops, text, r=np.array(0.5, np.float32)) == ["Dropout", "Neg"]
    text = "(float[2] x) => (float[2] y) { b = Dropout(x, r, t) y = Neg(b) }"
    assert rewritten(remove_no_ops, text, r=np.array(0.5, np.float32), t=np.ones((), bool)) == ["Dropout", "Neg"]


def test_a_mask_that_is_used_keeps_its_dropout(rewritten: Callable[..., list[str]]) -> None:
    text = "(float[2] x) => (float[2] y, bool[2] z) { b, m = Dropout(x) y = Neg(b) z = Not(m) }"
    assert rewritten(remove_no_ops, text, {"x": X[0, :2]}) == ["Dropout", "Neg", "Not"]


def test_an_output_takes_over_the_name(rewritten: Callable[..., list[str]]) -> None:
    text = "(float[2] x) => (float[2] y) { n = Neg(x) y = Identity(n) }"
    assert rewritten(remove_no_ops, text, {"x": X[0, :2]}) == ["Neg"]


def test_an_input_does_not_become_an_output(rewritten: Callable[..., list[str]]) -> None:
    assert rewritten(remove_no_ops, "(float[2] x) => (float[2] y) { y = Identity(x) }", {"x": X[0, :2]}) == ["Identity"]


def test_two_outputs_of_one_value_stay_apart(rewritten: Callable[..., list[str]]) -> None:
    text = "(float[2] x) => (float[2] y, float[2] z) { y = Neg(x) z = Identity(y) }"
    assert rewritten(remove_no_ops, text, {"x": X[0, :2]}) == ["Identity", "Neg"]


def test_a_branch_does_not_return_what_is_made_outside(rewritten: Callable[..., list[str]]) -> None:
    text = """(float[2] x, bool c) => (float[2] y) {
        n = Neg(x)
        b = If (c) <
            then_branch = t () => (float[2] p) { p = Identity(n) },
            else_branch = e () => (float[2] q) { r = Identity(n) q = Abs(r) }>
        y = Neg(b)
    }"""
    feeds = [{"x": X[0, :2], "c": np.array(flag)} for flag in (True, False)]
    assert rewritten(remove_no_ops, text, *feeds) == ["Abs", "Identity", "If", "Neg", "Neg"]
