from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from optkit.core.errors import UsageError
from optkit.graph.inspect import inspect_graph
from optkit.graph.load import load_model

if TYPE_CHECKING:
    from pathlib import Path

HEADER = '<ir_version: 10, opset_import: ["" : 20, "own" : 1]>'


def written(folder: Path, proto: onnx.ModelProto | str) -> Path:
    path = folder / "model.onnx"
    proto = onnx.parser.parse_model(f"{HEADER} {proto}") if isinstance(proto, str) else proto
    path.write_bytes(proto.SerializeToString())
    return path


def relu(**changes: object) -> onnx.ModelProto:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 2]) for name in "xy"]
    weights = [numpy_helper.from_array(np.ones(2, np.float32), "w")]
    given = {"inputs": ends[:1], "outputs": ends[1:], "initializer": weights, **changes}
    graph = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"], "sum")], "g", **given)  # type: ignore[arg-type]  # of mixed types
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def sparse() -> onnx.ModelProto:
    proto = relu(initializer=[])
    values = numpy_helper.from_array(np.ones(1, np.float32), "w")
    weight = onnx.SparseTensorProto(values=values, indices=numpy_helper.from_array(np.array([0])), dims=[2])
    proto.graph.sparse_initializer.append(weight)
    return proto


WEIGHT = numpy_helper.from_array(np.ones(2, np.float32), "w")
X = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 2])
FUNCTION = '<opset_import: ["" : 20, "own" : 1], domain: "own">'
THEN = "net (float[N] x, bool c) => (float[N] y) { y = If (c) <then_branch = t () => (float[N] p)"
ELSE = "else_branch = e () => (float[N] q) { q = Neg(x) }> }"
F = "net (float[N] x) => (float[N] y) { y = own.f(x) }"
BROKEN = {
    "a cycle": (
        "net (float[N] x) => (float[N] y) { a = Add(x, b) b = Relu(a) y = Neg(b) }",
        "the graph has a cycle: some node waits for itself",
    ),
    "a node that waits for itself": ("net (float[N] x) => (float[N] y) { y = Add(x, y) }", "the graph has a cycle"),
    "an input from nowhere": (
        "net (float[N] x) => (float[N] y) { [sum] y = Add(x, nowhere) }",
        "node 'sum' reads 'nowhere', which nothing computes",
    ),
    "an input of a branch from nowhere": (
        f"{THEN} {{ p = Neg(gone) }}, {ELSE}",
        "reads 'gone', which nothing computes",
    ),
    "an output from nowhere": (
        "net (float[N] x) => (float[N] y) { a = Relu(x) }",
        "nothing computes the output 'y'",
    ),
    "a value twice": (
        "net (float[N] x) => (float[N] y) { a = Relu(x) a = Neg(x) y = Neg(a) }",
        "Output 'a' is redeclared",
    ),
    "a weight twice": (relu(initializer=[WEIGHT, WEIGHT]), "two weights are called 'w'"),
    "an input twice": (relu(inputs=[X, X]), "two inputs are called 'x'"),
    "a sparse weight": (sparse(), "the weight 'w' is stored sparse"),
    "functions that call each other": (
        f"{F} {FUNCTION} f (v) => (w) {{ w = own.g(v) }} {FUNCTION} g (v) => (w) {{ w = own.f(v) }}",
        "the function own::f calls itself",
    ),
}


@pytest.mark.parametrize(("proto", "said"), BROKEN.values(), ids=BROKEN)
def test_a_graph_that_does_not_hold_together_is_refused(
    proto: onnx.ModelProto | str, said: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(UsageError) as caught:
        load_model(written(tmp_path, proto))
    assert caught.value.message.startswith("model.onnx: ")
    assert said in caught.value.message
    assert caught.value.hint
    assert not caplog.records


GOOD = {
    "unsorted": ("net (float[N] x) => (float[N] y) { y = Neg(a) a = Relu(x) }", ["Relu", "Neg"]),
    "a name of a node twice": ("net (float[N] x) => (float[N] y) { [n] a = Relu(x) [n] y = Neg(a) }", ["Relu", "Neg"]),
    "functions in functions": (
        f"{F} {FUNCTION} f (v) => (w) {{ w = own.g(v) }} {FUNCTION} g (v) => (w) {{ w = Neg(v) }}",
        ["f"],
    ),
    "branches in branches": (
        f"{THEN} {{ p = If (c) <then_branch = u () => (float[N] r) {{ r = Neg(x) }}, {ELSE[:-2]} }}, {ELSE}",
        ["If"],
    ),
}


@pytest.mark.parametrize(("text", "operators"), GOOD.values(), ids=GOOD)
def test_what_looks_odd_and_is_right_is_taken(text: str, operators: list[str], tmp_path: Path) -> None:
    model = load_model(written(tmp_path, text))
    assert [node.op_type for node in model.graph] == operators
    inspect_graph(model)


def test_a_negative_axis_is_dynamic(tmp_path: Path) -> None:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [-1, 2]) for name in "xy"]
    model = load_model(written(tmp_path, relu(inputs=ends[:1], outputs=ends[1:])))
    assert inspect_graph(model).inputs[0].shape == ("batch", 2)
