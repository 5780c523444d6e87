from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from optkit.graph.gemm import split_gemm


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
