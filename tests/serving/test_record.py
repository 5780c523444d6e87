from __future__ import annotations

from typing import TYPE_CHECKING

import onnx
import pytest
from onnx import TensorProto, helper

from optkit.core import interface as interfaces
from optkit.core.errors import UsageError
from optkit.core.interface import Dim, Interface, Tensor
from optkit.core.passes import Work
from optkit.serving.golden import read_golden
from optkit.serving.record import FILE, RecordGolden

if TYPE_CHECKING:
    from pathlib import Path


def model(folder: Path, op_type: str) -> Path:
    """Writes x (batch, 64) → one operator → y (batch, 64)."""
    folder.mkdir()
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 64]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node(op_type, ["x"], ["y"])], "g", ends[:1], ends[1:])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(proto, folder / "model.onnx")
    tensors = [Tensor(name, "float32", ("batch", 64)) for name in ("x", "y")]
    interfaces.write(folder, Interface((tensors[0],), (tensors[1],), {"batch": Dim(1, 8, 16)}))
    return folder


def test_without_data_requests_are_made_up_at_three_batch_sizes(tmp_path: Path) -> None:
    RecordGolden().run({"model": model(tmp_path / "model", "Neg")}, Work(tmp_path, tmp_path))
    requests, responses = read_golden(tmp_path / FILE)
    assert [request["x"].shape[0] for request in requests] == [1, 5, 8]
    assert all((response["y"] == -request["x"]).all() for request, response in zip(requests, responses, strict=True))


def test_a_model_that_draws_random_numbers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"answers the same request in two ways \(output 'y'\)"):
        RecordGolden().run({"model": model(tmp_path / "model", "RandomNormalLike")}, Work(tmp_path, tmp_path))
