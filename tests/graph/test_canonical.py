from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest

from optkit.graph.canonical import fold_into_convolutions, pool_globally
from optkit.graph.shapes import refresh_shapes

POOL = """
<ir_version: 8, opset_import: ["" : {opset}]>
net (float[N,3,4,5] x) => ({result} y) {{ {body} }}"""
CONV = """
<ir_version: 8, opset_import: ["" : 17]>
net (float[N,2,5,5] x, float[3,2,3,3] w, float[3] a, float[3] b, float[3] m, float[3] v) => (float[N,3,H,W] y)
{{ {body} }}"""


def run(model: ir.Model, x: np.ndarray) -> np.ndarray:
    proto = ir.serde.serialize_model(model).SerializeToString()
    session = onnxruntime.InferenceSession(proto, providers=["CPUExecutionProvider"])
    result: np.ndarray = session.run(None, {"x": x})[0]
    return result


def convolution(body: str) -> ir.Model:
    model = ir.from_onnx_text(CONV.format(body=body))
    random = np.random.default_rng(0)
    for value in list(model.graph.inputs)[1:]:
        assert value.shape is not None
        value.const_value = ir.tensor(random.random(value.shape.numpy(), np.float32) + 0.5, name=value.name)
        model.graph.register_initializer(value)
    model.graph.inputs[:] = model.graph.inputs[:1]
    for node in list(model.graph):
        if node.op_type == "Constant":
            value = ir.val(node.outputs[0].name, const_value=ir.tensor(node.attributes["value_ints"].as_ints()))
            value.name = f"{value.name}_lifted"
            node.outputs[0].replace_all_uses_with(value)
            model.graph.register_initializer(value)
            model.graph.remove(node)
    refresh_shapes(model)
    return model


@pytest.mark.parametrize(
    ("opset", "body", "result", "operators"),
    [
        (17, "y = ReduceMean<axes=[2,3]>(x)", "float[N,3,1,1]", ["GlobalAveragePool"]),
        (17, "y = ReduceMean<axes=[-1,-2]>(x)", "float[N,3,1,1]", ["GlobalAveragePool"]),
        (17, "y = ReduceMean<axes=[2,3],keepdims=0>(x)", "float[N,3]", ["GlobalAveragePool", "Squeeze"]),
        (17, "y = ReduceMean<axes=[1,2]>(x)", "float[N,1,1,5]", ["ReduceMean"]),
        (17, "y = ReduceMean<axes=[3]>(x)", "float[N,3,4,1]", ["ReduceMean"]),
        (17, "y = ReduceMean(x)", "float[1,1,1,1]", ["ReduceMean"]),
        (17, "y = ReduceSum(x)", "float[1,1,1,1]", ["ReduceSum"]),
    ],
)
def test_means_over_space_become_pooling(opset: int, body: str, result: str, operators: list[str]) -> None:
    model = ir.from_onnx_text(POOL.format(opset=opset, body=body, result=result))
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 5)).astype(np.float32)
    before = run(model, x)
    assert pool_globally(model) == (operators[0] == "GlobalAveragePool")
    assert [node.op_type for node in model.graph] == operators
    np.testing.assert_allclose(run(model, x), before, atol=1e-6)


def test_axes_may_be_an_input() -> None:
    model = ir.from_onnx_text(
        '<ir_version: 8, opset_import: ["" : 18]>\n'
        "net (float[N,3,4,5] x) => (float[N,3] y) <int64[2] a = {2, 3}> { y = ReduceMean<keepdims=0>(x, a) }"
    )
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 5)).astype(np.float32)
    before = run(model, x)
    assert pool_globally(model) == 1
    np.testing.assert_allclose(run(model, x), before, atol=1e-6)


@pytest.mark.parametrize(
    ("body", "operators"),
    [
        ("p = Constant<value_ints=[0,0,1,1,0,0,2,2]>() q = Pad(x, p) y = Conv(q, w)", ["Conv"]),
        ('p = Constant<value_ints=[0,0,1,1,0,0,2,2]>() q = Pad<mode="edge">(x, p) y = Conv(q, w)', ["Pad", "Conv"]),
        ("c = Conv(x, w) y = BatchNormalization(c, a, b, m, v)", ["Conv"]),
        ("c = Conv(x, w, b) y = BatchNormalization(c, a, b, m, v)", ["Conv"]),
        ("c = Conv(x, w) r = Relu(c) y = BatchNormalization(r, a, b, m, v)", ["Conv", "Relu", "BatchNormalization"]),
    ],
)  # fmt: skip
def test_padding_and_normalisation_are_folded(body: str, operators: list[str]) -> None:
    model = convolution(body)
    x = np.random.default_rng(0).standard_normal((2, 2, 5, 5)).astype(np.float32)
    before = run(model, x)
    fold_into_convolutions(model)
    assert [node.op_type for node in model.graph] == operators
    np.testing.assert_allclose(run(model, x), before, atol=1e-4)
