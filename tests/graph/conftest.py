from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

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
