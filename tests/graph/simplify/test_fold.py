from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest

from optkit.graph.simplify.fold import fold_constants

from .conftest import operators, parse

if TYPE_CHECKING:
    from collections.abc import Callable

X = np.array([1.5, -2.5], np.float32)
fold = partial(fold_constants, limit=1000)
FIRES = {
    "arithmetic, level by level": ("a = Add(u, v) b = Mul(a, a) c = Sqrt(b) y = Add(x, c)", ["Add"]),
    "two results": ("a, b = Split<axis = 0, num_outputs = 2>(u) c = Concat<axis = 0>(b, a) y = Add(x, c)", ["Add"]),
    "a result that nobody uses": ("a, b = TopK(u, one) c = Cast<to = 1>(b) y = Add(x, c)", ["Add"]),
    "sizes that only the values tell": ("a = NonZero(u) b = Cast<to = 1>(a) c = ReduceSum(b) y = Add(x, c)", ["Add"]),
    "other types": ("a = Cast<to = 10>(u) b = Cast<to = 1>(a) y = Add(x, b)", ["Add"]),
}
STAYS = {
    "what depends on the input": ("a = Add(x, v) y = Mul(a, u)", ["Add", "Mul"]),
    "random": ("a = RandomNormal<shape = [2]>() y = Add(x, a)", ["Add", "RandomNormal"]),
    "random like a constant": ("a = RandomUniformLike(u) y = Add(x, a)", ["Add", "RandomUniformLike"]),
    "dropout in training": ("a, m = Dropout(u, half, yes) y = Add(x, a)", ["Add", "Dropout"]),
    "a coin": ("a = Bernoulli(half2) y = Add(x, a)", ["Add", "Bernoulli"]),
    "a quantized weight": ("a = DequantizeLinear(q, s) y = Add(x, a)", ["Add", "DequantizeLinear"]),
    "what is too large": ("a = Expand(one1, thousand) b = ReduceSum(a) y = Add(x, b)", ["Add", "Expand", "ReduceSum"]),
    "what no machine could store": (
        "a = Expand(one1, huge) b = ReduceSum(a) y = Add(x, b)",
        ["Add", "Expand", "ReduceSum"],
    ),
    "what fails": ("a = Reshape(u, three) y = Add(x, a)", ["Add", "Reshape"]),
}
WEIGHTS: dict[str, np.ndarray] = {
    "u": np.array([4.0, 9.0], np.float32), "v": np.array([0.5, -1.0], np.float32), "one": np.array([1]),
    "half": np.array(0.5, np.float32), "yes": np.ones((), bool), "q": np.array([3, 4], np.int8),
    "s": np.array(0.1, np.float32),
    "half2": np.array([0.5, 0.5], np.float32), "one1": np.array([1.0], np.float32), "thousand": np.array([1000]),
    "huge": np.array([1 << 50]), "three": np.array([3]),
}  # fmt: skip


def graph(body: str) -> tuple[str, dict[str, np.ndarray]]:
    words = body.replace("(", " ").replace(")", " ").replace(",", " ").split()
    return f"(float[2] x) => (float[2] y) {{ {body} }}", {name: w for name, w in WEIGHTS.items() if name in words}


@pytest.mark.parametrize(("body", "left"), FIRES.values(), ids=FIRES)
def test_constants_are_computed_ahead(body: str, left: list[str], rewritten: Callable[..., list[str]]) -> None:
    text, weights = graph(body)
    assert rewritten(fold, text, {"x": X}, **weights) == left


@pytest.mark.parametrize(("body", "left"), STAYS.values(), ids=STAYS)
def test_what_must_run_stays(body: str, left: list[str]) -> None:
    text, weights = graph(body)
    model = parse(text, **weights)
    fold(model)
    assert operators(model) == left


def test_a_result_that_takes_the_place_of_its_weight_may_be_large(rewritten: Callable[..., list[str]]) -> None:
    text = "(float[1, 30] x) => (float[1, 20] y) { t = Transpose(w) y = MatMul(x, t) }"
    w = np.random.default_rng(0).integers(-9, 9, (20, 30)).astype(np.float32)  # whole numbers: any order sums alike
    assert rewritten(fold, text, {"x": w[:1]}, w=w) == ["MatMul"]
    text = "(float[1, 30] x) => (float[1, 30] y) { t = Transpose(w) a = MatMul(x, t) y = MatMul(a, w) }"
    assert rewritten(fold, text, {"x": w[:1]}, w=w) == ["MatMul", "MatMul", "Transpose"]


def test_an_output_stays_a_node(rewritten: Callable[..., list[str]]) -> None:
    text = "(float[2] x) => (float[2] y, float[2] z) { y = Neg(x) z = Neg(u) }"
    assert rewritten(fold, text, {"x": X}, u=WEIGHTS["u"]) == ["Neg", "Neg"]


def test_constants_of_branches_are_computed(rewritten: Callable[..., list[str]]) -> None:
    text = """(float[2] x, bool c) => (float[2] y) {
        y = If (c) <
            then_branch = t () => (float[2] p) { a = Sqrt(u) p = Add(x, a) },
            else_branch = e () => (float[2] q) { q = Abs(x) }>
    }"""
    feeds = [{"x": X, "c": np.array(flag)} for flag in (True, False)]
    assert rewritten(fold, text, *feeds, u=WEIGHTS["u"]) == ["Abs", "Add", "If"]
