from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optkit.graph.fuse.products import PATTERN, merge_products
from optkit.graph.save import to_proto
from optkit.graph.shapes import name_nodes, refresh_shapes

if TYPE_CHECKING:
    from collections.abc import Callable

    Network = Callable[..., ir.Model]
    Compute = Callable[[ir.Model, np.ndarray], np.ndarray]


SHAPES: dict[str, tuple[int, ...]] = {
    "q": (6, 4), "k": (6, 4), "v": (6, 2), "qt": (4, 6), "kt": (3, 6), "a": (4,), "b": (4,), "c": (2,), "d": (3,),
    "e": (4, 4),
}  # fmt: skip
FIRES = {
    "attention": (
        "[N,S,6]",
        (
            "p = MatMul(x, q) r = MatMul(x, k) t = MatMul(x, v) pb = Add(p, a) rb = Add(b, r) tb = Add(t, c)"
            "y = Concat<axis = -1>(pb, tb, rb)"
        ),
        ["MatMul", "Add", "Split", "Concat"],
    ),
    "without biases": (
        "[N,S,6]",
        "p = MatMul(x, q) r = MatMul(x, v) s = Neg(r) y = Concat<axis = -1>(p, s)",
        ["MatMul", "Split", "Neg", "Concat"],
    ),
    "a sum that is no bias": (
        "[N,S,6]",
        "p = MatMul(x, q) r = MatMul(x, k) y = Add(p, r)",
        ["MatMul", "Split", "Add"],
    ),
    "Gemm": (
        "[N,6]",
        "p = Gemm(x, q, a) r = Gemm(x, v, c) y = Concat<axis = 1>(r, p)",
        ["Gemm", "Split", "Concat"],
    ),
    "transposed Gemm": (
        "[N,6]",
        "p = Gemm<transB = 1>(x, qt) r = Gemm<transB = 1>(x, kt) y = Concat<axis = 1>(p, r)",
        ["Gemm", "Split", "Concat"],
    ),
    "a vector": (
        "[6]",
        "p = MatMul(x, q) r = MatMul(x, v) y = Concat<axis = 0>(p, r)",
        ["MatMul", "Split", "Concat"],
    ),
}
UNLIKE = {
    "one product": ("[N,6]", "y = MatMul(x, q)"),
    "other tensors": ("[N,6]", "z = Neg(x) p = MatMul(x, q) r = MatMul(z, k) y = Add(p, r)"),
    "no constant": ("[4,4]", "z = Neg(x) p = MatMul(x, x) r = MatMul(x, z) y = Add(p, r)"),
    "on the left": ("[6,6]", "p = MatMul(qt, x) r = MatMul(kt, x) y = Concat<axis = 0>(p, r)"),
}
NEARLY = {
    "the same matrix": ("[N,6]", "p = MatMul(x, q) r = MatMul(x, q) y = Add(p, r)", "stored twice"),
    "a matrix that something else reads": (
        "[6,6]", "p = MatMul(x, q) r = MatMul(x, k) s = Add(p, k) y = Add(s, r)", "of another operator|stored twice",
    ),
    "scaled": ("[N,6]", "p = Gemm<alpha = 2.0>(x, q) r = Gemm<alpha = 2.0>(x, k) y = Add(p, r)", "scales"),
    "transposed input": ("[6,N]", "p = Gemm<transA = 1>(x, q) r = Gemm<transA = 1>(x, k) y = Add(p, r)", "transposes"),
    "a bias for each element": ("[4,6]", "p = Gemm(x, q, e) r = Gemm(x, k, e) y = Add(p, r)", "no constant vector"),
    "one with a bias": ("[N,6]", "p = Gemm(x, q, a) r = Gemm(x, k) y = Add(p, r)", "only one of them has a bias"),
    "one transposed": ("[N,6]", "p = Gemm<transB = 1>(x, qt) r = Gemm(x, k) y = Add(p, r)", "another .*layout"),
}  # fmt: skip


@pytest.mark.parametrize("name", FIRES)
def test_fires_and_computes_the_same(name: str, network: Network, compute: Compute) -> None:
    shape, body, expected = FIRES[name]
    before = network(body, shape, **SHAPES)
    after = before.clone()
    (group,), missed = merge_products(after)
    assert missed == []
    assert len(group) == body.count("MatMul") + body.count("Gemm")
    assert [node.op_type for node in after.graph] == expected
    x = np.random.default_rng(1).standard_normal([3 if axis in "NS" else 6 for axis in shape[1:-1].split(",")])
    x = x.astype(np.float32)
    np.testing.assert_allclose(compute(after, x), compute(before, x), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", UNLIKE)
def test_does_not_fire(name: str, network: Network) -> None:
    shape, body = UNLIKE[name]
    model = network(body, shape, **SHAPES)
    before = [node.op_type for node in model.graph]
    assert merge_products(model) == ([], [])
    assert [node.op_type for node in model.graph] == before


@pytest.mark.parametrize("name", NEARLY)
def test_says_what_keeps_products_of_one_tensor_apart(name: str, network: Network) -> None:
    shape, body, reason = NEARLY[name]
    model = network(body, shape, **SHAPES)
    before = [node.op_type for node in model.graph]
    merged, missed = merge_products(model)
    assert merged == []
    assert len(missed) == 2
    assert all(re.search(reason, miss.reason) for miss in missed)
    assert {miss.pattern for miss in missed} == {PATTERN}
    assert [node.op_type for node in model.graph] == before


def test_a_matrix_that_each_run_may_replace_is_no_constant(network: Network) -> None:
    model = network("p = MatMul(x, q) r = MatMul(x, k) y = Add(p, r)", "[N,6]", **SHAPES)
    model.graph.inputs.append(model.graph.initializers["q"])
    assert merge_products(model) == ([], [])


def test_a_matrix_that_the_graph_returns_stays(network: Network) -> None:
    model = network("p = MatMul(x, q) r = MatMul(x, k) y = Add(p, r)", "[N,6]", **SHAPES)
    model.graph.outputs.append(model.graph.initializers["q"])
    merged, missed = merge_products(model)
    assert merged == []
    assert any("read elsewhere" in miss.reason for miss in missed)


def test_those_that_fit_merge_beside_one_that_does_not(network: Network, compute: Compute) -> None:
    before = network(
        "p = MatMul(x, q) r = MatMul(x, k) g = Gemm<alpha = 2.0>(x, v) y = Concat<axis = 1>(p, r, g)", "[N,6]", **SHAPES
    )
    after = before.clone()
    merged, missed = merge_products(after)
    assert [len(group) for group in merged] == [2]
    assert [miss.reason for miss in missed] == ["it scales its result, or transposes what it reads"]
    x = np.random.default_rng(1).standard_normal((3, 6)).astype(np.float32)
    np.testing.assert_allclose(compute(after, x), compute(before, x), rtol=1e-6, atol=1e-6)


@given(widths=st.lists(st.integers(1, 5), min_size=2, max_size=4), biased=st.booleans(), seed=st.integers(0, 99))
def test_any_widths(widths: list[int], *, biased: bool, seed: int) -> None:
    model = parallel(widths, biased=biased, seed=seed)
    after = model.clone()
    assert len(merge_products(after)[0]) == 1
    name_nodes(after)
    refresh_shapes(after)
    x = np.random.default_rng(seed).standard_normal((2, 3, 5)).astype(np.float32)
    for one, other in zip(run(after, x), run(model, x), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6)
    assert [str(value.shape) for value in after.graph.outputs] == [str(value.shape) for value in model.graph.outputs]
    assert not {name for name in after.graph.initializers if name[0] in "wb"}


def test_old_split_has_no_input_for_its_sizes(network: Network) -> None:
    model = network("p = MatMul(x, q) r = MatMul(x, k) y = Add(p, r)", "[N,6]", **SHAPES)
    model.opset_imports[""] = 11
    assert merge_products(model) == ([], [])


def parallel(widths: list[int], *, biased: bool, seed: int) -> ir.Model:
    """Returns x → y0, y1, …, each a graph output."""
    random = np.random.default_rng(seed)
    bodies, weights = [], []
    for index, width in enumerate(widths):
        weights.append(ir.tensor(random.standard_normal((5, width)).astype(np.float32), name=f"w{index}"))
        product = f"p{index}" if biased else f"y{index}"
        bodies.append(f"{product} = MatMul(x, w{index})")
        if biased:
            weights.append(ir.tensor(random.standard_normal(width).astype(np.float32), name=f"b{index}"))
            bodies.append(f"y{index} = Add(p{index}, b{index})")
    outputs = ", ".join(f"float[N,S,{width}] y{index}" for index, width in enumerate(widths))
    header = '<ir_version: 10, opset_import: ["" : 20]>'
    text = f"{header} net (float[N,S,5] x) => ({outputs}) {{{' '.join(bodies)}}}"
    model = ir.from_onnx_text(text, initializers=weights)
    name_nodes(model)
    refresh_shapes(model)
    return model


def run(model: ir.Model, x: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(to_proto(model).SerializeToString(), providers=["CPUExecutionProvider"])
    results: list[np.ndarray] = session.run(None, {"x": x})
    return results
