from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from optkit.graph.gemm import merge_gemm, split_gemm


def gemm(rows: int, columns: int, *, transposed: bool, bias: bool, **attributes: float) -> onnx.ModelProto:
    random = np.random.default_rng(0)
    shape = (columns, rows) if transposed else (rows, columns)
    weights = [numpy_helper.from_array(random.standard_normal(shape).astype(np.float32), "w")]
    if bias:
        weights.append(numpy_helper.from_array(random.standard_normal(columns).astype(np.float32), "b"))
    node = helper.make_node("Gemm", ["x", *(weight.name for weight in weights)], ["y"], transB=int(transposed))
    node.attribute.extend(helper.make_attribute(key, value) for key, value in attributes.items())
    graph = helper.make_graph(
        [node], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", rows])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", columns])], weights,
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def run(proto: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    result: np.ndarray = session.run(["y"], {"x": x})[0]
    return result


@given(rows=st.integers(1, 5), columns=st.integers(1, 5), transposed=st.booleans(), bias=st.booleans())
def test_split_computes_the_same(rows: int, columns: int, *, transposed: bool, bias: bool) -> None:
    proto = gemm(rows, columns, transposed=transposed, bias=bias)
    model = ir.serde.deserialize_model(proto)
    assert split_gemm(model) == 1
    assert [node.op_type for node in model.graph] == ["MatMul", "Add"][: 1 + bias]
    x = np.random.default_rng(1).standard_normal((3, rows)).astype(np.float32)
    np.testing.assert_allclose(run(ir.serde.serialize_model(model), x), run(proto, x), atol=1e-5)


@pytest.mark.parametrize("attributes", [{"alpha": 2.0}, {"beta": 0.5}])
def test_scaled_products_are_left_alone(attributes: dict[str, float]) -> None:
    model = ir.serde.deserialize_model(gemm(2, 3, transposed=False, bias=True, **attributes))
    assert split_gemm(model) == 0


MERGED = """
<ir_version: 8, opset_import: ["" : 17]>
net (float[N,2] x, float[N,3] r) => (float[N,3] y)
<float[2,3] w = {{1.0, 2.0, 3.0, 4.0, 5.0, 6.0}}, float[3] b = {{1.0, 2.0, 3.0}}, float[1] one = {{1.0}}>
{{ {} }}"""


@pytest.mark.parametrize(
    ("body", "operators"),
    [
        ("m = MatMul(x, w) y = Add(m, b)", ["Gemm"]),
        ("m = MatMul(x, w) y = Add(b, m)", ["Gemm"]),
        ("m = MatMul(x, w) y = Add(m, r)", ["Gemm", "Add"]),
        ("m = MatMul(x, w) y = Add(m, one)", ["Gemm", "Add"]),
        ("m = MatMul(x, w) n = Add(m, b) y = Add(n, m)", ["MatMul", "Add", "Add"]),
        ("m = MatMul(x, w) y = Relu(m)", ["MatMul", "Relu"]),
    ],
)
def test_products_of_matrices_and_their_biases_are_merged(body: str, operators: list[str]) -> None:
    model = ir.from_onnx_text(MERGED.format(body))
    before = ir.serde.serialize_model(model)
    merge_gemm(model)
    assert [node.op_type for node in model.graph] == operators
    random = np.random.default_rng(0)
    feeds = {"x": random.standard_normal((4, 2)).astype(np.float32), "r": np.ones((4, 3), np.float32)}
    first, second = [
        onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, feeds)[0]
        for proto in (before, ir.serde.serialize_model(model))
    ]
    np.testing.assert_allclose(second, first, atol=1e-5)


def test_batched_products_are_not_merged() -> None:
    text = MERGED.format("m = MatMul(x, w) y = Add(m, b)").replace("[N,", "[N,7,")
    assert merge_gemm(ir.from_onnx_text(text)) == 0
