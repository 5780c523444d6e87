from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir
import pytest

from optkit.graph.load import load_model
from optkit.graph.save import save_model
from optkit.graph.simplify.common import merge_common
from optkit.graph.simplify.duplicates import merge_duplicates

from .conftest import operators, parse

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

X = np.array([-0.0, 2.5], np.float32)
FIRES = {
    "the same twice": ("a = Neg(x) b = Neg(x) y = Add(a, b)", ["Add", "Neg"]),
    "chains": ("a = Neg(x) b = Neg(x) c = Abs(a) d = Abs(b) y = Add(c, d)", ["Abs", "Add", "Neg"]),
    "equal attributes": ("a = Elu<alpha = 0.5>(x) b = Elu<alpha = 0.5>(x) y = Add(a, b)", ["Add", "Elu"]),
    "two results": (
        "a, b = Split<axis = 0, num_outputs = 2>(x) c, d = Split<axis = 0, num_outputs = 2>(x) y = Add(a, d)",
        ["Add", "Split"],
    ),
    "dropout at inference": ("a = Dropout(x) b = Dropout(x) y = Add(a, b)", ["Add", "Dropout"]),
    "an output": ("y = Neg(x) a = Neg(x) b = Abs(a)", ["Neg"]),
    "an output that comes second": ("a = Neg(x) b = Abs(a) y = Neg(x)", ["Neg"]),
}  # fmt: skip
STAYS = {
    "other attributes": ("a = Elu<alpha = 0.5>(x) b = Elu<alpha = 0.25>(x) y = Add(a, b)", 3),
    "a negative zero": ("a = Elu<alpha = 0.0>(x) b = Elu<alpha = -0.0>(x) y = Add(a, b)", 3),
    "other inputs": ("a = Neg(x) b = Neg(a) y = Add(a, b)", 3),
    "random numbers": ("a = RandomNormalLike(x) b = RandomNormalLike(x) y = Sub(a, b)", 3),
    "coins": ("p = Sigmoid(x) a = Bernoulli(p) b = Bernoulli(p) y = Sub(a, b)", 4),
    "dropout in training": ("a = Dropout(x, half, yes) b = Dropout(x, half, yes) y = Sub(a, b)", 3),
    "operators that nobody knows": ("a = com.microsoft.Nobody(x) b = com.microsoft.Nobody(x) y = Sub(a, b)", 3),
}


@pytest.mark.parametrize(("body", "left"), FIRES.values(), ids=FIRES)
def test_equal_nodes_become_one(body: str, left: list[str], rewritten: Callable[..., list[str]]) -> None:
    assert rewritten(merge_common, f"(float[2] x) => (float[A] y) {{ {body} }}", {"x": X}) == left


@pytest.mark.parametrize(("body", "count"), STAYS.values(), ids=STAYS)
def test_nodes_that_differ_stay(body: str, count: int) -> None:
    weights = {"half": np.array(0.5, np.float32), "yes": np.ones((), bool)} if "half" in body else {}
    model = parse(f"(float[2] x) => (float[A] y) {{ {body} }}", **weights)
    merge_common(model)
    assert len(operators(model)) == count


def test_two_outputs_stay_two(rewritten: Callable[..., list[str]]) -> None:
    text = "(float[2] x) => (float[2] y, float[2] z) { y = Neg(x) z = Neg(x) }"
    assert rewritten(merge_common, text, {"x": X}) == ["Neg", "Neg"]


def test_branches_are_not_mixed(rewritten: Callable[..., list[str]]) -> None:
    text = """(float[2] x, bool c) => (float[2] y) {
        y = If (c) <
            then_branch = t () => (float[2] p) { a = Neg(x) b = Neg(x) p = Add(a, b) },
            else_branch = e () => (float[2] q) { q = Neg(x) }>
    }"""
    feeds = [{"x": X, "c": np.array(flag)} for flag in (True, False)]
    assert rewritten(merge_common, text, *feeds) == ["Add", "If", "Neg", "Neg"]


@pytest.mark.parametrize(
    ("a", "b", "count"),
    [
        (np.ones(3, np.float32), np.ones(3, np.float32), 1),
        (np.zeros(3, np.float32), -np.zeros(3, np.float32), 2),
        (np.ones(3, np.float32), np.ones((3, 1), np.float32), 2),
        (np.full(3, np.nan, np.float32), np.full(3, np.nan, np.float32), 1),
    ],
)
def test_weights_of_equal_bytes_become_one(a: np.ndarray, b: np.ndarray, count: int) -> None:
    model = parse("(float[3] x) => (float[A, B] y) { c = Add(x, a) y = Mul(c, b) }", a=a, b=b)
    merge_duplicates(model)
    assert len(model.graph.initializers) == count


def test_large_weights_are_compared_in_the_middle_too(tmp_path: Path) -> None:
    big = np.random.default_rng(0).standard_normal(100_000).astype(np.float32)
    other = big.copy()
    other[50_000] += 1
    text = "(float[100000] x) => (float[100000] y) { d = Add(x, a) e = Add(d, b) y = Add(e, c) }"
    save_model(parse(text, a=big, b=other, c=big.copy()), tmp_path, inline_limit=1000)
    model = load_model(tmp_path / "model.onnx")
    assert all(isinstance(value.const_value, ir.ExternalTensor) for value in model.graph.initializers.values())
    merge_duplicates(model)
    assert list(model.graph.initializers) == ["a", "b"]
    assert [each.name for each in model.graph[2].inputs if each is not None] == ["e", "a"]
