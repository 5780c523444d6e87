"""Shapes of ONNX Runtime's own operators, beside those that it computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from optkit.graph import known
from optkit.graph.at_sizes import at_sizes
from optkit.graph.infer import Inference

F, I32 = np.float32, np.int32
CASES: dict[str, tuple[str, dict[str, Any], list[np.ndarray | None], int, int]] = {
    "MultiHeadAttention": (
        "MultiHeadAttention", {"num_heads": 4},
        [np.zeros((2, 5, 32), F), np.zeros((2, 7, 32), F), np.zeros((2, 7, 32), F)], 1, 2 * 5 * 7 * 64,
    ),
    "MultiHeadAttention with a past": (
        "MultiHeadAttention", {"num_heads": 4},
        [
            np.zeros((2, 5, 32), F), np.zeros((2, 5, 32), F), np.zeros((2, 5, 32), F), None, None, None,
            np.zeros((2, 4, 6, 8), F), np.zeros((2, 4, 6, 8), F),
        ], 3, 2 * 5 * 11 * 64,
    ),
    "GroupQueryAttention": (
        "GroupQueryAttention", {"num_heads": 4, "kv_num_heads": 2},
        [
            np.zeros((1, 5, 32), F), np.zeros((1, 5, 16), F), np.zeros((1, 5, 16), F), None, None,
            np.array([[4]], I32), np.array(5, I32),
        ], 1, 5 * 5 * 64,
    ),
    "Attention": (
        "Attention", {"num_heads": 4},
        [np.zeros((2, 5, 32), F), np.zeros((32, 96), F), np.zeros(96, F)], 1, 2 * 5 * 32 * 96 + 2 * 5 * 5 * 64,
    ),
    "SkipLayerNormalization": (
        "SkipLayerNormalization", {}, [np.zeros((2, 5, 32), F), np.zeros((2, 5, 32), F), np.ones(32, F)], 1, 0,
    ),
    "QLinearAdd": (
        "QLinearAdd", {},
        [
            np.zeros((2, 5, 1), np.uint8), np.array(0.1, F), np.array(0, np.uint8),
            np.zeros((5, 4), np.uint8), np.array(0.1, F), np.array(0, np.uint8),
            np.array(0.1, F), np.array(0, np.uint8),
        ], 1, 0,
    ),
    "FusedConv": (
        "FusedConv", {"activation": "Relu", "strides": [2, 2], "pads": [1, 1, 1, 1]},
        [np.zeros((2, 3, 9, 9), F), np.zeros((4, 3, 3, 3), F)], 1, 2 * 4 * 5 * 5 * 27,
    ),
    "QGemm": (
        "QGemm", {"transB": 1},
        [
            np.zeros((2, 8), np.uint8), np.array(0.1, F), np.array(0, np.uint8),
            np.zeros((6, 8), np.int8), np.array(0.1, F), np.array(0, np.int8),
        ], 1, 2 * 8 * 6,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("operator", "options", "arrays", "results", "macs"), CASES.values(), ids=CASES)
def test_shapes_are_those_that_onnx_runtime_computes(
    operator: str, options: dict[str, Any], arrays: list[np.ndarray | None], results: int, macs: int
) -> None:
    given = {f"i{index}": array for index, array in enumerate(arrays) if array is not None}
    names = [f"i{index}" if array is not None else "" for index, array in enumerate(arrays)]
    outputs = [f"o{index}" for index in range(results)]
    # ONNX Runtime demands both presents of GroupQueryAttention; they are not looked at here.
    made = [*outputs, "present_key", "present_value"] if operator == "GroupQueryAttention" else outputs
    node = helper.make_node(operator, names, made, "n", domain="com.microsoft", **options)
    activations = ("i0", "i1", "i2", "i3", "i6", "i7") if operator.endswith("HeadAttention") else ("i0",)
    ends = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in given.items()
        if name in activations
    ]
    fixed = [numpy_helper.from_array(array, name) for name, array in given.items() if name not in activations]
    graph = helper.make_graph(
        [node], "g", ends, [helper.make_value_info(name, onnx.TypeProto()) for name in outputs], fixed
    )
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    proto = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    actual = session.run(outputs, {end.name: given[end.name] for end in ends})
    inputs = {
        name: known.tensor(helper.np_dtype_to_tensor_dtype(array.dtype), array.shape) for name, array in given.items()
    }
    tally = at_sizes(ir.from_proto(proto), inputs, {}, Inference({"": 20, "com.microsoft": 1}))
    assert {name: tally.sizes[name] for name in outputs} == {
        name: array.nbytes for name, array in zip(outputs, actual, strict=True)
    }
    assert tally.cost.macs == macs
    assert not tally.uncounted
