"""ONNX Runtime must not turn back into int8 what is kept in float."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from optkit.graph.save import save_model
from optkit.quant import engine
from optkit.quant.engine import Format, write_static
from optkit.quant.int8_nodes import count_int8
from optkit.quant.layout import calibrated_tensors
from optkit.quant.observe import observe
from optkit.quant.placement import place
from optkit.quant.prepare import prepare
from optkit.quant.profiles import PROFILES
from optkit.quant.ranges import find_range

if TYPE_CHECKING:
    from pathlib import Path

PROFILE = PROFILES["onnxruntime-cpu"]
FEED = {"x": np.random.default_rng(1).standard_normal((4, 6, 8, 8)).astype(np.float32)}


def chain(*, gemm: bool) -> ir.Model:
    """Returns three convolutions with ReLU, the last two grouped, or a convolution with two Gemm behind it."""
    random = np.random.default_rng(0)

    def weight(name: str, *shape: int) -> TensorProto:
        return numpy_helper.from_array(random.standard_normal(shape).astype(np.float32), name)

    nodes = [helper.make_node("Conv", ["x", "w0", "b0"], ["c0"], "conv0", pads=[1, 1, 1, 1])]
    nodes.append(helper.make_node("Relu", ["c0"], ["y0"], "relu0"))
    tensors = [weight("w0", 6, 6, 3, 3), weight("b0", 6)]
    if gemm:
        nodes += [
            helper.make_node("Flatten", ["y0"], ["flat"], "flatten"),
            helper.make_node("Gemm", ["flat", "w1", "b1"], ["y1"], "gemm1", transB=1),
            helper.make_node("Gemm", ["y1", "w2", "b2"], ["out"], "gemm2"),
        ]
        tensors += [weight("w1", 16, 384), weight("b1", 16), weight("w2", 16, 4), weight("b2", 4)]
        shape: list[str | int] = ["batch", 4]
    else:
        for index in (1, 2):
            nodes += [
                helper.make_node("Conv", [f"y{index - 1}", f"w{index}"], [f"c{index}"], f"conv{index}", group=2),
                helper.make_node("Relu", [f"c{index}"], [f"y{index}" if index == 1 else "out"], f"relu{index}"),
            ]
            tensors.append(weight(f"w{index}", 6, 3, 3, 3))
        shape = ["batch", 6, 4, 4]
    ends = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 6, 8, 8]),
        helper.make_tensor_value_info("out", TensorProto.FLOAT, shape),
    ]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], tensors)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return prepare(ir.serde.deserialize_model(proto))


def written(model: ir.Model, keep: str, folder: Path) -> Path:
    ranges = {
        name: find_range(histogram, "minmax")
        for name, histogram in observe(
            model, calibrated_tensors(place(model, PROFILE), PROFILE), [FEED], folder
        ).items()
    }
    nodes = place(model, PROFILE, lambda node: node.name == keep)
    quantized = write_static(model, nodes, ranges, PROFILE, Format(per_channel=True, reduce_range=True))
    return save_model(quantized, folder)


def output(path: Path, *, optimize: bool = True) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    if not optimize:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    result: np.ndarray = session.run(None, FEED)[0]
    return result


@pytest.mark.parametrize(
    ("gemm", "keep", "operator", "counts"),
    [(False, "conv1", "Conv", (2, 3)), (False, "", "Conv", (3, 3)), (True, "gemm1", "Gemm", (1, 2))],
)
def test_a_layer_kept_in_float_runs_in_float(
    *, gemm: bool, keep: str, operator: str, counts: tuple[int, int], tmp_path: Path
) -> None:
    path = written(chain(gemm=gemm), keep, tmp_path)
    assert count_int8(path, tmp_path)[operator] == counts


def test_without_the_shield_it_would_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "shield_floats", lambda *_: [])
    path = written(chain(gemm=False), "conv1", tmp_path)
    assert count_int8(path, tmp_path)["Conv"] == (3, 3)


def test_the_shield_changes_no_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    shielded = output(written(chain(gemm=False), "conv1", tmp_path / "a"), optimize=False)
    monkeypatch.setattr(engine, "shield_floats", lambda *_: [])
    plain = output(written(chain(gemm=False), "conv1", tmp_path / "b"), optimize=False)
    np.testing.assert_array_equal(shielded, plain)


def products(*, quantized_after: bool) -> ir.Model:
    """Returns two products with a ReLU between them."""
    random = np.random.default_rng(0)
    tensors = [numpy_helper.from_array(random.standard_normal((6, 6)).astype(np.float32), f"w{i}") for i in range(2)]
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], "transpose", perm=[0, 2, 3, 1]),
        helper.make_node("MatMul", ["t", "w0"], ["p0"], "first"),
        helper.make_node("Relu", ["p0"], ["y0"], "relu"),
        helper.make_node("MatMul", ["y0", "w1"], ["out"], "second" if quantized_after else "kept"),
    ]
    ends = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 6, 8, 8]),
        helper.make_tensor_value_info("out", TensorProto.FLOAT, ["batch", 8, 8, 6]),
    ]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], tensors)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return prepare(ir.serde.deserialize_model(proto))


def test_a_product_before_a_float_relu_runs_in_int8(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "plain").mkdir()
    path = written(products(quantized_after=False), "kept", tmp_path)
    assert count_int8(path, tmp_path)["MatMul"] == (1, 2)
    monkeypatch.setattr(engine, "free_products", lambda *_: [])
    plain = written(products(quantized_after=False), "kept", tmp_path / "plain")
    assert count_int8(plain, tmp_path)["MatMul"] == (0, 2)
    np.testing.assert_array_equal(output(path, optimize=False), output(plain, optimize=False))


def test_a_relu_whose_result_is_quantized_stays(tmp_path: Path) -> None:
    path = written(products(quantized_after=True), "kept", tmp_path)
    assert {"Relu"} <= {node.op_type for node in onnx.load(path).graph.node}
    assert count_int8(path, tmp_path)["MatMul"] == (2, 2)
