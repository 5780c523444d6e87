from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optkit.graph.simplify.shape_chains import resolve_shapes

from .conftest import parse, run

if TYPE_CHECKING:
    from collections.abc import Callable

WEIGHTS = {
    "i0": np.array(0), "i1": np.array(1), "v0": np.array([0]), "v1": np.array([1]), "v2": np.array([2]),
    "six": np.array([6]), "two": np.array([2]), "three": np.array([3]), "rest": np.array([-1]), "last": np.array([-1]),
}  # fmt: skip


def graph(body: str, x: str = "[N, 2, 3]", y: str = "[A, B]") -> tuple[str, dict[str, np.ndarray]]:
    words = body.replace("(", " ").replace(")", " ").replace(",", " ").split()
    return f"(float{x} x) => (float{y} y) {{ {body} }}", {name: w for name, w in WEIGHTS.items() if name in words}


FIRES = {
    "the batch is kept": "s = Shape(x) n = Gather(s, i0) v = Unsqueeze(n, v0) "
    "t = Concat<axis = 0>(v, six) y = Reshape(x, t)",
    "the batch is inferred": "s = Shape(x) n = Slice(s, v0, v1) t = Concat<axis = 0>(six, n) y = Reshape(x, t)",
    "all is known": "s = Shape<start = 1>(x) y0 = Reshape(x, rest) t = Concat<axis = 0>(rest, s) y = Reshape(y0, t)",
    "a product is left to infer": "s = Shape(x) n = Gather(s, i0) m = Gather(s, i1) p = Mul(n, m) "
    "v = Unsqueeze(p, v0) t = Concat<axis = 0>(v, three) y = Reshape(x, t)",
    "casts between": "s = Shape(x) c = Cast<to = 6>(s) d = Cast<to = 7>(c) n = Gather(d, v0) "
    "t = Concat<axis = 0>(n, six) y = Reshape(x, t)",
    "from the end": "s = Shape(x) n = Slice(s, last, last_end) v = Squeeze(n, v0) w = Unsqueeze(v, v0) "
    "t = Concat<axis = 0>(rest, w) y = Reshape(x, t)",
}  # fmt: skip


@pytest.mark.parametrize("body", FIRES.values(), ids=FIRES)
def test_a_reshape_asks_by_number(body: str, rewritten: Callable[..., list[str]]) -> None:
    text, weights = graph(body, y="[A, B, C]" if "start" in body else "[A, B]")
    weights |= {"last_end": np.array([2**31 - 1])} if "last_end" in body else {}
    feeds = [{"x": np.arange(n * 6, dtype=np.float32).reshape(n, 2, 3)} for n in (1, 2, 5)]
    assert set(rewritten(resolve_shapes, text, *feeds, **weights)) == {"Reshape"}


def test_two_sizes_to_infer_are_left_alone(rewritten: Callable[..., list[str]]) -> None:
    text = """(float[N, M] x, float[K] z) => (float[A, B] y) {
        s = Shape(x) a = Gather(s, v1) b = Gather(s, v0) t = Concat<axis = 0>(a, b) y = Reshape(z, t) }"""
    feeds = {"x": np.ones((2, 3), np.float32), "z": np.arange(6, dtype=np.float32)}
    left = rewritten(resolve_shapes, text, feeds, v0=WEIGHTS["v0"], v1=WEIGHTS["v1"])
    assert left == ["Concat", "Gather", "Gather", "Reshape", "Shape"]


def test_a_size_and_a_rest_are_not_both_inferred(rewritten: Callable[..., list[str]]) -> None:
    text = """(float[N, M] x, float[K] z) => (float[A, B] y) {
        s = Shape(x) a = Gather(s, v0) t = Concat<axis = 0>(rest, a) y = Reshape(z, t) }"""
    feeds = {"x": np.ones((2, 3), np.float32), "z": np.arange(6, dtype=np.float32)}
    left = rewritten(resolve_shapes, text, feeds, v0=WEIGHTS["v0"], rest=WEIGHTS["rest"])
    assert left == ["Concat", "Gather", "Reshape", "Shape"]


def test_an_unnamed_axis_is_only_itself(rewritten: Callable[..., list[str]]) -> None:
    text = """(float[?, 3] x, float[?, 3] z) => (float[A, B] y) {
        s = Shape(x) a = Gather(s, v0) t = Concat<axis = 0>(a, rest) y = Reshape(z, t) }"""
    feeds = {"x": np.ones((6, 3), np.float32), "z": np.arange(6, dtype=np.float32).reshape(2, 3)}
    left = rewritten(resolve_shapes, text, feeds, v0=WEIGHTS["v0"], rest=WEIGHTS["rest"])
    assert left == ["Concat", "Gather", "Reshape", "Shape"]


def test_a_zero_that_means_zero_stays(rewritten: Callable[..., list[str]]) -> None:
    text, weights = graph(
        "s = Shape(x) n = Slice(s, v0, v1) t = Concat<axis = 0>(n, six) y = Reshape<allowzero = 1>(x, t)"
    )
    left = rewritten(resolve_shapes, text, {"x": np.ones((2, 2, 3), np.float32)}, **weights)
    assert left == ["Concat", "Reshape", "Shape", "Slice"]


def test_known_sizes_become_constants(rewritten: Callable[..., list[str]]) -> None:
    text = "(float[N, 2, 3] x) => (int64[K] y) { s = Shape<start = 1>(x) t = Concat<axis = 0>(s, s) y = Neg(t) }"
    assert rewritten(resolve_shapes, text, {"x": np.ones((4, 2, 3), np.float32)}) == ["Neg"]


def test_an_output_keeps_its_node(rewritten: Callable[..., list[str]]) -> None:
    text = "(float[2, 3] x) => (int64[K] y) { y = Shape(x) }"
    assert rewritten(resolve_shapes, text, {"x": np.ones((2, 3), np.float32)}) == ["Shape"]


@given(st.integers(-4, 4), st.integers(-4, 4), st.integers(1, 3))
def test_slices_of_sizes_are_those_of_the_operator(start: int, end: int, step: int) -> None:
    text = "(float[2, 3, 4, 5] x) => (int64[K] y) { s = Shape(x) t = Slice(s, a, b, v0, c) y = Neg(t) }"
    weights = {"a": np.array([start]), "b": np.array([end]), "c": np.array([step]), "v0": np.array([0])}
    model, before = parse(text, **weights), parse(text, **weights)
    resolve_shapes(model)
    feeds = {"x": np.ones((2, 3, 4, 5), np.float32)}
    np.testing.assert_array_equal(run(model, feeds)[0], run(before, feeds)[0])


@given(st.integers(-4, 4), st.integers(-4, 4))
def test_parts_of_shapes_are_those_of_the_operator(start: int, end: int) -> None:
    text = f"(float[2, 3, 4] x) => (int64[K] y) {{ s = Shape<start = {start}, end = {end}>(x) y = Neg(s) }}"
    model, before = parse(text), parse(text)
    resolve_shapes(model)
    feeds = {"x": np.ones((2, 3, 4), np.float32)}
    np.testing.assert_array_equal(run(model, feeds)[0], run(before, feeds)[0])
