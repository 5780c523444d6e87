from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnx_ir as ir

from optkit.graph.load import external_files, load_model
from optkit.graph.save import DATA_FILE, has_data_file, save_model, weight_bytes

if TYPE_CHECKING:
    from pathlib import Path

Proto = Callable[..., onnx.ModelProto]


def test_small_models_are_one_file(linear: Proto, tmp_path: Path) -> None:
    path = save_model(ir.serde.deserialize_model(linear()), tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_large_weights_go_to_one_file_with_a_stable_name(linear: Proto, tmp_path: Path) -> None:
    model = ir.serde.deserialize_model(linear())
    path = save_model(model, tmp_path, inline_limit=1000)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model.onnx", DATA_FILE]
    assert external_files(path) == (DATA_FILE,)
    loaded = load_model(path).graph.initializers["w"].const_value
    assert loaded is not None
    original = onnx.numpy_helper.to_array(linear().graph.initializer[0])
    np.testing.assert_array_equal(loaded.numpy(), original)


def test_same_model_same_bytes(linear: Proto, tmp_path: Path) -> None:
    contents = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        save_model(ir.serde.deserialize_model(linear()), tmp_path / name, inline_limit=1000)
        contents.append([(tmp_path / name / file).read_bytes() for file in ("model.onnx", DATA_FILE)])
    assert contents[0] == contents[1]


def test_external_model_is_gathered_from_another_name(external: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    model = load_model(external())
    save_model(model, tmp_path / "out", inline_limit=1000)
    assert external_files(tmp_path / "out" / "model.onnx") == (DATA_FILE,)
    (tmp_path / "inline").mkdir()
    assert external_files(save_model(model, tmp_path / "inline")) == ()


def test_weight_bytes_counts_every_weight(linear: Proto) -> None:
    assert weight_bytes(ir.serde.deserialize_model(linear())) == 64 * 32 * 4


def test_mapped_weights_leave_memory_once_they_are_written_and_can_be_read_again(linear: Proto, tmp_path: Path) -> None:
    for name in ("from", "to", "viewed"):
        (tmp_path / name).mkdir()
    model = load_model(save_model(ir.from_proto(linear()), tmp_path / "from", inline_limit=0))
    tensor = model.graph.initializers["w"].const_value
    assert isinstance(tensor, ir.ExternalTensor)
    before = tensor.numpy().copy()
    save_model(model, tmp_path / "to", inline_limit=0)
    assert has_data_file(tmp_path / "to")
    assert tensor.raw is None
    view = tensor.numpy()
    save_model(model, tmp_path / "viewed", inline_limit=0)
    np.testing.assert_array_equal(view, before)
    np.testing.assert_array_equal(tensor.numpy(), before)
