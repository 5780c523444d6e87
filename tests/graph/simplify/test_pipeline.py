from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from optkit.graph.save import to_proto
from optkit.graph.simplify import pipeline
from optkit.graph.simplify.pipeline import RewriteBroke, prepare, simplify_graph
from optkit.graph.simplify.spec import spec_violation

from .conftest import assert_identical, operators, parse, run

if TYPE_CHECKING:
    from collections.abc import Callable

TEXT = """(float[N, 4] x) => (float[N, 4] y) {
    s = Shape(x) n = Gather(s, i0) v = Unsqueeze(n, v0) t = Concat<axis = 0>(v, four)
    r = Reshape(x, t) a = Identity(r) b = Add(two, two) c = Mul(a, b) d = Mul(r, b) e = Sub(c, d)
    f = Cast<to = 11>(e) g = Cast<to = 1>(f) dead = Neg(g) y = Add(g, x) }"""
WEIGHTS = {
    "i0": np.array(0), "v0": np.array([0]), "four": np.array([4]), "two": np.array([2], np.float32),
}  # fmt: skip
X = np.arange(8, dtype=np.float32).reshape(2, 4)


def test_rewrites_help_each_other_until_nothing_is_left_to_do() -> None:
    model, before = parse(TEXT, **WEIGHTS), parse(TEXT, **WEIGHTS)
    removals = simplify_graph(model, 1 << 20)
    assert operators(model) == ["Add", "Mul", "Sub"]
    assert sum(each.nodes for each in removals) == len(operators(before)) - 3
    for batch in (1, 2):
        assert_identical(run(model, {"x": X[:batch]})[0], run(before, {"x": X[:batch]})[0])
    assert simplify_graph(model, 1 << 20) == []


def test_who_removed_what_is_told() -> None:
    removals = {each.rewrite: each.nodes for each in simplify_graph(parse(TEXT, **WEIGHTS), 1 << 20)}
    assert removals["dead code"] == 1
    assert removals["constants"] == 1
    assert removals["known sizes"] == 4
    assert removals["common subexpressions"] == 1


def test_stale_shapes_are_replaced() -> None:
    model = parse(TEXT, **WEIGHTS)
    for node in model.graph:
        node.outputs[0].shape = ir.Shape([7, 7, 7])
    model.graph.outputs[0].shape = ir.Shape(["N", 4])
    simplify_graph(model, 1 << 20)
    assert {str(node.outputs[0].shape) for node in model.graph} == {"[N,4]"}


def nothing(model: ir.Model) -> None:
    del model


def unsorted(model: ir.Model) -> None:
    first = model.graph[0]
    model.graph.remove(first)
    model.graph.append(first)


def dangling(model: ir.Model) -> None:
    model.graph.remove(model.graph[0])


def nameless(model: ir.Model) -> None:
    model.graph[1].outputs[0].name = model.graph[0].outputs[0].name


def without_attribute(model: ir.Model) -> None:
    next(node for node in model.graph if node.op_type == "Cast").attributes.pop("to")


def raising(model: ir.Model) -> None:
    del model
    raise KeyError("oh")


BROKEN = {
    "unsorted": (unsorted, "must be topologically sorted"),
    "dangling": (dangling, "of a node that was removed"),
    "a name twice": (nameless, "SSA"),
    "an attribute lost": (without_attribute, "Required attribute 'to' is missing"),
    "raises": (raising, "KeyError: 'oh'"),
}


@pytest.mark.parametrize(("damage", "why"), BROKEN.values(), ids=BROKEN)
def test_the_rewrite_that_breaks_a_graph_is_named(
    damage: Callable[[ir.Model], None], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "_remove_dead", nothing)
    monkeypatch.setattr(pipeline, "_rewrites", lambda _: (("good", nothing), ("bad", damage)))
    with pytest.raises(RewriteBroke, match="the rewrite 'bad' broke the graph") as caught:
        simplify_graph(parse(TEXT, **WEIGHTS), 1 << 20)
    assert why in caught.value.why
    assert simplify_graph(parse(TEXT, **WEIGHTS), 1 << 20, without={"bad"}) == []


def test_a_rewrite_can_be_left_out() -> None:
    model = parse(TEXT, **WEIGHTS)
    simplify_graph(model, 1 << 20, without={"casts"})
    assert operators(model).count("Cast") == 2


def test_functions_are_inlined() -> None:
    text = """<ir_version: 10, opset_import: ["" : 20, "own" : 1]>
    net (float[N] x) => (float[N] y) { a = own.twice(x) y = own.twice(a) }
    <opset_import: ["" : 20], domain: "own"> twice (v) => (w) { i = Identity(v) w = Add(i, v) }"""
    model = ir.from_onnx_text(text)
    simplify_graph(model, 1 << 20)
    assert operators(model) == ["Add", "Add"]
    assert not model.functions
    assert_identical(run(model, {"x": X[0]})[0], 4 * X[0])


def test_weights_among_the_inputs_are_constants() -> None:
    body = "net (float[4] x, float[4] w) => (float[4] y) { a = Neg(w) y = Add(x, a) }"
    text = f'<ir_version: 3, opset_import: ["" : 8]> {body}'
    model = ir.from_onnx_text(text, initializers=[ir.tensor(X[0], name="w")])
    simplify_graph(model, 1 << 20)
    assert [value.name for value in model.graph.inputs] == ["x"]
    assert operators(model) == ["Add"]
    onnx.checker.check_model(to_proto(model))


def test_batch_normalisation_goes_into_the_convolution() -> None:
    text = "(float[N, 2, 5, 5] x) => (float[N, 3, 3, 3] y) { c = Conv(x, w) y = BatchNormalization(c, g, b, m, v) }"
    random = np.random.default_rng(0)
    weights = {name: random.random(3).astype(np.float32) + 0.5 for name in "gbmv"}
    weights["w"] = random.random((3, 2, 3, 3)).astype(np.float32)
    model, before = parse(text, **weights), parse(text, **weights)
    simplify_graph(model, 1 << 20)
    assert operators(model) == ["Conv"]
    x = {"x": random.random((2, 2, 5, 5)).astype(np.float32)}
    assert all(np.allclose(a, b, rtol=1e-5, atol=1e-5) for a, b in zip(run(model, x), run(before, x), strict=True))


def test_a_good_graph_breaks_no_rule() -> None:
    model = parse(TEXT, **WEIGHTS)
    prepare(model)
    assert spec_violation(model) == ""
