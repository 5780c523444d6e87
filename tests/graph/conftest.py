from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnx_ir as ir
import onnx_ir.passes.common as passes
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from optkit.graph.save import to_proto
from optkit.graph.shapes import name_nodes, refresh_shapes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def linear(*, op: str = "MatMul", domain: str = "", opset: int = 13, batch: str | int | None = "N") -> onnx.ModelProto:
    """y = x @ w with x of shape (batch, 64), w of (64, 32)."""
    random = np.random.default_rng(0)
    weight = numpy_helper.from_array(random.standard_normal((64, 32)).astype(np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node(op, ["x", "w"], ["y"], name="product", domain=domain)],
        "third-party",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, 32])],
        [weight],
    )
    opsets = [helper.make_opsetid("", opset)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


@pytest.fixture(name="linear")
def _linear() -> Callable[..., onnx.ModelProto]:
    return linear


@pytest.fixture
def external(tmp_path: Path) -> Callable[..., Path]:
    """Returns location → an ONNX file whose weight claims to lie there; `w.bin` beside it really holds it."""

    def make(location: str = "w.bin", **entries: int) -> Path:
        folder = tmp_path / "model"
        folder.mkdir(exist_ok=True)
        proto = linear()
        weight = proto.graph.initializer[0]
        (folder / "w.bin").write_bytes(weight.raw_data)
        weight.ClearField("raw_data")
        weight.data_location = TensorProto.EXTERNAL
        for key, value in {"location": location, **entries}.items():
            weight.external_data.add(key=key, value=str(value))
        path = folder / "model.onnx"
        path.write_bytes(proto.SerializeToString())
        return path

    return make


@pytest.fixture
def network() -> Callable[..., ir.Model]:
    """Returns (body, x's shape, shapes of seeded weights by name) → a model from x to y with shapes inferred."""

    def make(body: str, x: str, **shapes: tuple[int, ...]) -> ir.Model:
        random = np.random.default_rng(0)
        used = {name: shape for name, shape in shapes.items() if re.search(rf"\b{name}\b", body)}
        weights = [ir.tensor(random.standard_normal(shape).astype(np.float32), name=n) for n, shape in used.items()]
        header = '<ir_version: 10, opset_import: ["" : 20, "com.microsoft" : 1]>'
        text = f"{header} net (float{x} x) => (float{'[' + ', '.join('ABCD'[: x.count(',') + 1]) + ']'} y) {{{body}}}"
        model = ir.from_onnx_text(text, initializers=weights)
        model.graph.outputs[0].shape = None
        passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=1)(model)
        name_nodes(model)
        refresh_shapes(model)
        return model

    return make


@pytest.fixture
def compute() -> Callable[[ir.Model, np.ndarray], np.ndarray]:
    """Returns (model, x) → y, float32."""

    def run(model: ir.Model, x: np.ndarray) -> np.ndarray:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(
            to_proto(model).SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        result: np.ndarray = session.run(["y"], {"x": x})[0]
        return result

    return run
