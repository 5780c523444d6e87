from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from optkit.workflow.model_facts import model_facts

if TYPE_CHECKING:
    from pathlib import Path

TEXT = """<ir_version: 8, opset_import: ["" : 17]> g (float[n] x, bool c) => (float[n] y) {
    a = Relu(x) b = Relu(a)
    y = If (c) <then_branch = t () => (float[n] p) { p = Exp(b) }, else_branch = e () => (float[n] q) { q = Relu(b) }>
}"""


def test_size_and_operators_of_a_model_with_branches(tmp_path: Path) -> None:
    onnx.save(onnx.parser.parse_model(TEXT), tmp_path / "model.onnx")
    size, operators = model_facts("onnx", tmp_path)
    assert size == (tmp_path / "model.onnx").stat().st_size
    assert operators == {"Relu": 3, "If": 1, "Exp": 1}
    assert next(iter(operators)) == "Relu"


def test_external_weights_count(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [100])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [100])],
        [numpy_helper.from_array(np.ones(100, np.float32), "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, tmp_path / "model.onnx", save_as_external_data=True, location="model.onnx.data", size_threshold=0)
    size, _ = model_facts("onnx", tmp_path)
    assert size == sum((tmp_path / name).stat().st_size for name in ("model.onnx", "model.onnx.data"))


@pytest.mark.parametrize("kind", ["torch", "predictions", "golden"])
def test_other_artifacts_have_none(kind: str, tmp_path: Path) -> None:
    assert model_facts(kind, tmp_path) == (None, {})


@pytest.mark.parametrize("content", [None, b"", b"\x08\x07garbage"])
def test_a_model_that_was_damaged_since_has_none(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "model.onnx").write_bytes(content)
    assert model_facts("onnx", tmp_path) == (None, {})
