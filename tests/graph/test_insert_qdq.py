from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest

from optkit.graph.insert_qdq import Inserter

TEXT = """
<ir_version: 8, opset_import: ["" : 17]>
net (float[N,4] x, bool p) => (float[N,4] y, float[N,4] z)
{
  y = Neg(x)
  z = If(p) <
    then_branch = t () => (float[N,4] a) { a = Abs(y) },
    else_branch = e () => (float[N,4] b) { b = Floor(x) }
  >
}"""
SCALE, ZERO = np.array(0.5, np.float32), np.array(10, np.uint8)
X = np.array([[0.6, -1.3, 4.0, 0.1]], np.float32)


def snapped(x: np.ndarray) -> np.ndarray:
    return np.asarray((np.clip(np.rint(x / 0.5) + 10, 0, 255) - 10) * 0.5)


def run(model: ir.Model, *, p: bool = True) -> list[np.ndarray]:
    proto = ir.serde.serialize_model(model).SerializeToString()
    session = onnxruntime.InferenceSession(proto, providers=["CPUExecutionProvider"])
    results: list[np.ndarray] = session.run(["y", "z"], {"x": X, "p": np.array(p)})
    return results


def value(model: ir.Model, name: str) -> ir.Value:
    values = [*model.graph.inputs, *(each for node in model.graph.all_nodes() for each in node.outputs)]
    return next(each for each in values if each.name == name)


def pair(inserter: Inserter, of: ir.Value) -> list[ir.Value]:
    constants = [inserter.constant(of, "s", SCALE), inserter.constant(of, "o", ZERO)]
    return [inserter.quantize(of, *constants), *constants]


def test_given_readers_get_the_codes_and_others_keep_the_floats() -> None:
    model = ir.from_onnx_text(TEXT)
    inserter, x = Inserter(model), value(model, "x")
    readers = [use for use in x.uses() if use.node.op_type == "Neg"]
    inserter.dequantize(pair(inserter, x), x, readers)
    y, z = run(model, p=False)
    np.testing.assert_array_equal(y, -snapped(X))
    np.testing.assert_array_equal(z, np.floor(X))


def test_an_output_keeps_its_name_and_readers_in_bodies_get_a_node_of_their_own() -> None:
    model = ir.from_onnx_text(TEXT)
    inserter, y = Inserter(model), value(model, "y")
    uses = y.uses()
    inserter.dequantize_all(y, pair(inserter, y), uses)
    assert [each.name for each in model.graph.outputs] == ["y", "z"]
    places = [node.graph for node in model.graph.all_nodes() if node.op_type == "DequantizeLinear"]
    assert len(places) == len(set(places)) == 2
    first, second = run(model)
    np.testing.assert_array_equal(first, snapped(-X))
    np.testing.assert_array_equal(second, np.abs(snapped(-X)))


def test_inserted_values_are_typed() -> None:
    model = ir.from_onnx_text(TEXT)
    inserter, x = Inserter(model), value(model, "x")
    uses = x.uses()
    inserter.dequantize(pair(inserter, x), x, uses)
    kinds = {node.op_type: node.outputs[0].dtype for node in model.graph.all_nodes()}
    assert (kinds["QuantizeLinear"], kinds["DequantizeLinear"]) == (ir.DataType.UINT8, ir.DataType.FLOAT)


def test_constants_are_made_once_per_name_and_graph() -> None:
    model = ir.from_onnx_text(TEXT)
    inserter, x, inner = Inserter(model), value(model, "x"), value(model, "a")
    first, again = (inserter.constant(x, "scale", SCALE) for _ in range(2))
    assert first is again
    assert inserter.constant(x, "scale", lambda: pytest.fail("made twice")) is first
    other = inserter.constant(inner, "scale", SCALE)
    assert other.graph is inner.graph
    assert other.name != first.name


def test_taken_names_are_avoided() -> None:
    model = ir.from_onnx_text(TEXT.replace("y = Neg(x)", "x_quantized = Neg(x) y = Neg(x_quantized)"))
    inserter, x = Inserter(model), value(model, "x")
    uses = x.uses()
    inserter.dequantize(pair(inserter, x), x, uses)
    names = [each.name for node in model.graph.all_nodes() for each in node.outputs]
    assert len(names) == len(set(names))
    run(model)


def test_replaced_nodes_keep_the_names_of_their_outputs() -> None:
    model = ir.from_onnx_text(TEXT)
    node = next(node for node in model.graph if node.op_type == "Neg")
    inserter = Inserter(model)
    (half,) = inserter.before(node, "Identity", [node.inputs[0]])
    inserter.replace(node, "Abs", [half])
    np.testing.assert_array_equal(run(model)[0], np.abs(X))
