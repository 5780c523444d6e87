from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from optkit.graph.quantization_state import NodeState, quantization_state
from optkit.graph.quantized_tensors import QuantizedTensor, quantized_tensors

if TYPE_CHECKING:
    from numpy.typing import NDArray

node = helper.make_node
WIDTH = 4


def model_of(*nodes: onnx.NodeProto, **constants: NDArray[Any]) -> ir.Model:
    """Returns a graph from a float `x` of shape (n, WIDTH) to `y`; no inner value is typed."""
    ends = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", WIDTH]),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, None),
    ]
    tensors = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(list(nodes), "g", ends[:1], ends[1:], tensors)
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    return ir.serde.deserialize_model(helper.make_model(graph, opset_imports=opsets, ir_version=10))


def float_matrix() -> NDArray[Any]:
    return np.random.default_rng(0).standard_normal((WIDTH, WIDTH)).astype(np.float32)


SCALES: dict[str, NDArray[Any]] = {
    "s": np.array(0.5, np.float32), "z": np.array(128, np.uint8), "w": float_matrix(),
    "wq": np.array([[-127, 127, 3, 0]] * WIDTH, np.int8), "ws": np.array([1, 2, 3, 4], np.float32),
    "wz": np.zeros(4, np.int8), "c": np.array([[0.5]], np.float32),
}  # fmt: skip


def pair(name: str, result: str) -> list[onnx.NodeProto]:
    return [
        node("QuantizeLinear", [name, "s", "z"], [f"{name}_q"]),
        node("DequantizeLinear", [f"{name}_q", "s", "z"], [result]),
    ]


WEIGHT = node("DequantizeLinear", ["wq", "ws", "wz"], ["wd"], axis=1)


def states(*nodes: onnx.NodeProto) -> dict[str, NodeState]:
    used = {name for item in nodes for name in item.input}
    constants = {name: array for name, array in SCALES.items() if name in used}
    return {state.name: state for state in quantization_state(model_of(*nodes, **constants)).nodes}


def test_a_product_of_quantized_tensors_is_int8() -> None:
    found = states(*pair("x", "d"), WEIGHT, node("MatMul", ["d", "wd"], ["y"], "product"))
    assert found == {"product": NodeState("product", "MatMul", "int8", "")}


@pytest.mark.parametrize(
    ("nodes", "precision", "reason"),
    [
        ((node("MatMul", ["x", "w"], ["y"], "n"),), "float32", ""),
        ((*pair("x", "d"), node("MatMul", ["d", "w"], ["y"], "n")), "float32", "its weight 'w' is not quantized"),
        ((WEIGHT, node("MatMul", ["x", "wd"], ["y"], "n")), "int8-weights", "its input 'x' is not quantized"),
        (
            (*pair("x", "d"), node("MatMul", ["d", "w"], ["h"], "m"), node("MatMul", ["h", "w"], ["y"], "n")),
            "float32", "neither its input 'h' nor its weight 'w' is quantized",
        ),
        (
            (*pair("x", "d"), node("Identity", ["x"], ["i"]), node("MatMul", ["i", "x"], ["y"], "n")),
            "float32", "it multiplies two activations, 'i' and 'x', that are not quantized",
        ),
        ((*pair("x", "d"), node("Add", ["d", "x"], ["y"], "n")), "float32", "its input 'x' is not quantized"),
        ((*pair("x", "d"), node("Add", ["d", "d"], ["y"], "n")), "float32", "its result is not quantized"),
        ((*pair("x", "d"), node("Add", ["d", "d"], ["h"], "n"), *pair("h", "y")), "int8", ""),
        ((*pair("x", "d"), node("Softmax", ["x"], ["y"], "n")), "float32", "its inputs are not quantized"),
        ((*pair("x", "d"), node("Transpose", ["x"], ["y"], "n")), "float32", ""),
        (
            (node("Shape", ["x"], ["i"]), node("Add", ["i", "i"], ["j"], "n"), node("Cast", ["j"], ["y"], to=1)),
            "integers", "",
        ),
        (
            (node("Cast", ["x"], ["h"], to=10), node("Exp", ["h"], ["g"], "n"), node("Cast", ["g"], ["y"], to=1)),
            "float16", "",
        ),
    ],
)  # fmt: skip
def test_why_a_node_is_not_int8(nodes: tuple[onnx.NodeProto, ...], precision: str, reason: str) -> None:
    assert (states(*nodes)["n"].precision, states(*nodes)["n"].reason) == (precision, reason)


def test_a_clamp_in_front_of_a_quantization_is_part_of_it() -> None:
    product = node("MatMul", ["d", "wd"], ["h"], "product")
    found = states(*pair("x", "d"), WEIGHT, product, node("Relu", ["h"], ["r"], "clamp"), *pair("r", "y"))
    assert found["clamp"].precision == "int8"
    assert states(*pair("x", "d"), WEIGHT, product, node("Relu", ["h"], ["y"], "clamp"))["clamp"].precision == "float32"


def test_operators_of_onnxruntime() -> None:
    blocks = np.zeros((WIDTH, 1, 16), np.uint8)
    model = model_of(
        node("MatMulNBits", ["x", "b", "s4"], ["h"], "blocks", domain="com.microsoft", K=4, N=4, bits=4, block_size=32),
        node("Relu", ["h"], ["r"], "relu"),
        node("DynamicQuantizeLinear", ["r"], ["q", "qs", "qz"], "dynamic"),
        node("MatMulInteger", ["q", "wq", "qz"], ["i"], "integer"),
        node("Cast", ["i"], ["y"], "cast", to=TensorProto.FLOAT),
        b=blocks, s4=np.ones(WIDTH, np.float32), wq=SCALES["wq"],
    )  # fmt: skip
    state = quantization_state(model)
    assert {node.name: node.precision for node in state.nodes} == {
        "blocks": "int4-weights", "relu": "float32", "integer": "int8-dynamic", "cast": "float32",
    }  # fmt: skip
    assert [(tensor.name, tensor.role, tensor.kind, tensor.scale is None) for tensor in state.tensors] == [
        ("b", "weight", "uint4", False),
        ("r", "activation", "uint8", True),
        ("wq", "weight", "int8", True),
    ]
    assert state.counts()["MatMulNBits"] == {"int4-weights": 1}


def test_the_numbers_of_a_tensor() -> None:
    nodes = (*pair("x", "d"), WEIGHT, node("MatMul", ["d", "wd"], ["y"], "product"))
    constants = {name: SCALES[name] for name in ("s", "z", "wq", "ws", "wz")}
    activation, weight = quantization_state(model_of(*nodes, **constants)).tensors
    assert (activation.name, activation.role, activation.kind) == ("x", "activation", "uint8")
    assert (activation.axis, activation.scales, activation.scale, activation.zero_point) == (
        None,
        1,
        (0.5, 0.5),
        (128, 128),
    )
    assert activation.range == (-64.0, 63.5)
    assert (weight.axis, weight.scales, weight.scale, weight.zero_point) == (1, 4, (1.0, 4.0), (0, 0))
    assert weight.range == (-512.0, 508.0)
    assert weight.saturated == 0.25  # 127, and not -127


def test_nodes_left_out_come_with_weights_first() -> None:
    nodes = (*pair("x", "d"), node("Exp", ["x"], ["h"], "a"), node("MatMul", ["h", "w"], ["y"], "b"))
    constants = {name: SCALES[name] for name in ("s", "z", "w")}
    assert [state.name for state in quantization_state(model_of(*nodes, **constants)).left_out()] == ["b", "a"]


@given(
    axis=st.integers(0, 1),
    block=st.sampled_from([0, 2, 3]),
    signed=st.booleans(),
    shape=st.tuples(st.integers(1, 7), st.integers(1, 7)),
)
def test_values_are_those_of_the_operator(axis: int, block: int, signed: bool, shape: tuple[int, int]) -> None:  # noqa: FBT001  # drawn
    """Against ONNX's own reference implementation."""
    from onnx.reference import ReferenceEvaluator

    random = np.random.default_rng(sum(shape) + axis)
    size = -(-shape[axis] // block) if block else shape[axis]
    scale_shape = tuple(size if index == axis else length for index, length in enumerate(shape)) if block else (size,)
    if shape[axis] % size:  # the reference takes even blocks only
        return
    kind, ends = (np.int8, (-128, 128)) if signed else (np.uint8, (0, 256))
    codes, zero = (random.integers(*ends, part).astype(kind) for part in (shape, scale_shape))
    scale = random.random(scale_shape).astype(np.float32) + np.float32(0.1)
    dequantize = node(
        "DequantizeLinear", ["q", "s", "z"], ["y"], axis=axis, block_size=shape[axis] // size if block else 0
    )
    model = model_of(dequantize, q=codes, s=scale, z=zero)
    [tensor] = quantized_tensors(model)
    results: Any = ReferenceEvaluator(ir.serde.serialize_model(model)).run(
        ["y"], {"x": np.zeros((1, WIDTH), np.float32)}
    )
    np.testing.assert_allclose(tensor.values(), results[0], rtol=1e-6)


def test_what_is_made_at_run_time_has_no_values() -> None:
    with pytest.raises(ValueError, match="stores no codes"):
        QuantizedTensor("x", "activation", "uint8", None, None).read()
    with pytest.raises(ValueError, match="at run time"):
        QuantizedTensor("w", "weight", "int8", None, None, codes=np.zeros(3, np.int8)).values()
