from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from google.protobuf import text_format
from pydantic import TypeAdapter, ValidationError
from tritonclient.grpc import model_config_pb2

from optkit.core.errors import MissingDependency, UsageError
from optkit.core.interface import Dim, Interface, Tensor
from optkit.core.schema import json_schema
from optkit.serving import EMITTERS
from optkit.serving.emitter import Deployable
from optkit.serving.triton import Triton, max_batch_size

if TYPE_CHECKING:
    from tests.serving.conftest import Zoo

GOLDEN = Path(__file__).with_name("golden")
BATCH = {"batch": Dim(1, 4, 8)}

INTERFACES = {
    "cnn": Interface(
        (Tensor("image", "float32", ("batch", 3, 32, 32)),), (Tensor("logits", "float32", ("batch", 3)),), BATCH
    ),
    "transformer": Interface(
        (
            Tensor("input_ids", "int64", ("batch", "sequence"), range=(1, 999)),
            Tensor("attention_mask", "int64", ("batch", "sequence"), range=(0, 1)),
        ),
        (Tensor("last_hidden_state", "float16", ("batch", "sequence", 64)),),
        {"batch": Dim(1, 2, 16), "sequence": Dim(1, 128, 512)},
    ),
    "several_outputs": Interface(
        (Tensor("x", "uint8", ("batch", 4)),),
        (
            Tensor("boxes", "float32", ("batch", "found", 4)),
            Tensor("scores", "float64", ("batch", "found")),
            Tensor("count", "int32", ("batch", 1)),
        ),
        BATCH,
    ),
    "no_batch": Interface((Tensor("x", "float32", (1, 16)),), (Tensor("y", "float32", (1, 4)),)),
    "batch_on_axis_1": Interface(
        (Tensor("frames", "float32", ("time", "batch", 40)),),
        (Tensor("scores", "float32", ("batch", 5)),),
        {"batch": Dim(1, 2, 4), "time": Dim(10, 100, 300)},
    ),
    "one_output_without_batch": Interface(
        (Tensor("x", "float32", ("batch", 4)),),
        (Tensor("y", "float32", ("batch", 4)), Tensor("mean", "float32", (4,))),
        BATCH,
    ),
    "rank_1": Interface(
        (Tensor("lengths", "int32", ("batch",), range=(1, 9)),), (Tensor("label", "int64", ("batch",)),), BATCH
    ),
    "scalar": Interface((Tensor("gain", "float32", ()),), (Tensor("peak", "float32", ()),)),
    "bool_and_text": Interface(
        (Tensor("keep", "bool", ("batch", 5)), Tensor("words", "string", ("batch", 2))),
        (Tensor("kept", "bfloat16", ("batch", 5)),),
        BATCH,
    ),
}


def emit(interface: Interface, folder: Path, emitter: Triton | None = None, **fields: Any) -> Path:  # noqa: ANN401 - fields of Deployable
    (folder / "artifact").mkdir()
    (folder / "artifact" / "model.onnx").write_bytes(b"onnx")
    deployable = Deployable("model", folder / "artifact", interface, **fields)
    return (emitter or Triton()).emit(deployable, folder / "repository")


def parse(entry: Path) -> Any:  # noqa: ANN401 - a protobuf message
    return text_format.Parse((entry / "config.pbtxt").read_text(), model_config_pb2.ModelConfig())


@pytest.mark.parametrize("name", INTERFACES)
def test_configuration_is_as_recorded(name: str, tmp_path: Path) -> None:
    entry = emit(INTERFACES[name], tmp_path)
    assert (entry / "config.pbtxt").read_text() == (GOLDEN / f"{name}.pbtxt").read_text()


def test_every_recorded_configuration_is_checked() -> None:
    assert {path.stem for path in GOLDEN.glob("*.pbtxt")} == set(INTERFACES)


@pytest.mark.parametrize(
    ("name", "size"),
    [("cnn", 8), ("transformer", 16), ("rank_1", 8), ("no_batch", 0), ("batch_on_axis_1", 0), ("scalar", 0)],
)
def test_server_batches_only_where_every_tensor_has_its_samples_first(name: str, size: int) -> None:
    assert max_batch_size(INTERFACES[name]) == size


def test_entry_has_the_model_and_its_external_data(tmp_path: Path) -> None:
    (tmp_path / "artifact").mkdir()
    for name in ("model.onnx", "model.onnx.data", "model.json"):
        (tmp_path / "artifact" / name).write_text(name)
        (tmp_path / "artifact" / name).chmod(0o444)
    entry = Triton().emit(Deployable("m", tmp_path / "artifact", INTERFACES["no_batch"]), tmp_path / "out")
    assert entry == tmp_path / "out" / "m"
    assert {path.relative_to(entry).as_posix() for path in entry.rglob("*") if path.is_file()} == {
        "config.pbtxt",
        "1/model.onnx",
        "1/model.onnx.data",
    }
    assert (entry / "1" / "model.onnx.data").read_text() == "model.onnx.data"
    (entry / "1" / "model.onnx").write_text("a user may edit the copy")


def test_options_reach_the_configuration(tmp_path: Path) -> None:
    emitter = Triton(max_queue_delay_microseconds=2500, preferred_batch_sizes=(2, 8), instance_count=3)
    config = parse(emit(INTERFACES["cnn"], tmp_path, emitter))
    assert config.dynamic_batching.max_queue_delay_microseconds == 2500
    assert list(config.dynamic_batching.preferred_batch_size) == [2, 8]
    assert config.instance_group[0].count == 3


@pytest.mark.parametrize("size", [0, -1, 9])
def test_preferred_batch_size_that_cannot_be_is_refused(size: int, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"holds {size}, the model takes 1 to 8"):
        emit(INTERFACES["cnn"], tmp_path, Triton(preferred_batch_sizes=(size,)))
    assert not (tmp_path / "repository").exists()


@pytest.mark.parametrize(
    "options", [{"max_queue_delay_microseconds": -1}, {"instance_count": 0}, {"instances": 2}, {"instance_count": "2"}]
)
def test_wrong_option_is_refused_at_the_edge(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(EMITTERS["triton"]).validate_python(options)


def test_every_option_is_described_in_the_schema() -> None:
    properties = json_schema(EMITTERS["triton"])["properties"]
    assert set(properties) == {
        "max_queue_delay_microseconds", "preferred_batch_sizes", "instance_count", "cuda_graphs", "tensorrt",
    }  # fmt: skip
    assert all(each["description"] for each in properties.values())


def test_labels_are_written_for_the_outputs_that_have_them(tmp_path: Path) -> None:
    outputs = (Tensor("a/b", "float32", ("batch", 2)), Tensor("plain", "float32", ("batch", 2)))
    interface = Interface(INTERFACES["cnn"].inputs, outputs, BATCH)
    entry = emit(interface, tmp_path, class_names={"a/b": ("cat", "chien à poil"), "plain": ()})
    assert (entry / "labels-a%2Fb.txt").read_text() == "cat\nchien à poil\n"
    assert [output.label_filename for output in parse(entry).output] == ["labels-a%2Fb.txt", ""]
    assert len(list(entry.glob("labels*"))) == 1


def test_label_with_a_line_break_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'logits': a class name has a line break"):
        emit(INTERFACES["cnn"], tmp_path, class_names={"logits": ("one\ntwo", "three", "four")})


@pytest.mark.parametrize(
    ("dtype", "bounds", "value"),
    [("int64", (1, 30), 1), ("int32", (-9, -2), -2), ("float32", (0.5, 2.0), 0.5), ("uint8", (3, 3), 3)],
)
def test_warm_up_stays_within_the_range_of_an_input(
    dtype: str, bounds: tuple[float, float], value: float, tmp_path: Path
) -> None:
    interface = Interface((Tensor("x/y", dtype, ("batch", 2, "n"), bounds),), (), {**BATCH, "n": Dim(1, 3, 5)})
    entry = emit(interface, tmp_path)
    data = parse(entry).model_warmup[0].inputs["x/y"]
    assert (data.input_data_file, list(data.dims), data.zero_data) == ("x%2Fy", [2, 3], False)
    written = np.fromfile(entry / "warmup" / "x%2Fy", dtype)
    np.testing.assert_array_equal(written, np.full(6, value, dtype), strict=True)


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a/b", "../up", "a\\b", "a b", "-x", "é", "x" * 129, "a\n"])
def test_name_that_is_no_model_name_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be the name of a Triton model"):
        Triton().emit(Deployable(name, tmp_path, INTERFACES["cnn"]), tmp_path / "repository")
    assert not (tmp_path / "repository").exists()


def test_existing_entry_is_not_overwritten(tmp_path: Path, zoo: Zoo) -> None:
    deployable = zoo.deployable("flags", tmp_path)
    Triton().emit(deployable, tmp_path / "repository")
    with pytest.raises(UsageError, match="exists already"):
        Triton().emit(deployable, tmp_path / "repository")


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (Tensor("z", "complex64", ("batch", 2)), "z: Triton has no data type for complex64"),
        (Tensor("z", "float32", ("batch", "...")), "z: Triton must know the number of dimensions"),
    ],
)
def test_tensor_that_triton_cannot_describe_is_refused(tensor: Tensor, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        emit(Interface((Tensor("x", "float32", ("batch", 2)),), (tensor,), BATCH), tmp_path)


def test_missing_tritonclient_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tritonclient.grpc", None)
    with pytest.raises(MissingDependency, match=r"optkit\[triton\]"):
        emit(INTERFACES["cnn"], tmp_path)


def test_importing_the_emitters_is_light() -> None:
    heavy = {"numpy", "google.protobuf", "tritonclient", "grpc", "onnxruntime", "pydantic"}
    code = f"import sys, optkit.serving, optkit.serving.verify; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
