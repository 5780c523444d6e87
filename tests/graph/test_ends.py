from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxruntime
from onnx import TensorProto, helper

from optkit.graph.ends import set_ends


def model() -> ir.Model:
    """Returns (a - b, a - b, a): one value twice, and one that is an input."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N"]) for name in ("a", "b", "c")]
    graph = helper.make_graph([helper.make_node("Sub", ["a", "b"], ["c"])], "g", ends[:2], [ends[2], ends[2], ends[0]])
    return ir.serde.deserialize_model(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    )


def names(model: ir.Model) -> tuple[list[str | None], list[str | None]]:
    return [value.name for value in model.graph.inputs], [value.name for value in model.graph.outputs]


def test_names_go_by_position_and_never_clash() -> None:
    made = model()
    assert set_ends(made, ["c", "a"], ["b", "d", "e"]) == ""
    assert names(made) == (["c", "a"], ["b", "d", "e"])
    session = onnxruntime.InferenceSession(ir.serde.serialize_model(made).SerializeToString())
    results = session.run(None, {"c": np.array([5], np.float32), "a": np.array([3], np.float32)})
    assert [float(result[0]) for result in results] == [2, 2, 5]


def test_known_names_are_put_in_order() -> None:
    made = model()
    assert set_ends(made, ["b", "a"], ["x", "y", "z"]) == ""
    assert names(made)[0] == ["b", "a"]
    assert [value.name for value in made.graph[0].inputs if value is not None] == ["a", "b"]


def test_counts_must_agree() -> None:
    assert "takes 2 inputs" in set_ends(model(), ["a"], ["x", "y", "z"])
    assert "returns 3 outputs" in set_ends(model(), ["a", "b"], ["x"])
