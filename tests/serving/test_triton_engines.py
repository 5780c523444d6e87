"""Entries that hold an engine: their configuration, and a real server that takes them as they are."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from optkit.core.errors import MissingDependency, UsageError
from optkit.core.interface import Dim, Interface, Tensor
from optkit.serving import triton_server
from optkit.serving.emitter import Deployable
from optkit.serving.triton import Triton
from optkit.serving.triton_entries import check_entries
from optkit.serving.triton_install import find
from tests.passes.engines import HALF, INT8, proto

if TYPE_CHECKING:
    from collections.abc import Callable

    from optkit.serving.triton_install import Installation

GOLDEN = Path(__file__).parents[1] / "golden" / "engines"
FACE = Interface(
    (Tensor("x", "float32", ("batch", 3)),), (Tensor("y", "float32", ("batch", 4)),), {"batch": Dim(1, 4, 16)}
)


@pytest.fixture
def deployable(tmp_path: Path) -> Callable[..., Deployable]:
    """Returns a maker of engine artifacts; what only a library reads in them is made up."""

    def make(name: str = "net", profiles: int = 1) -> Deployable:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "engine.plan").write_bytes(b"vtrt" + bytes(60))
        about = {
            "library": "tensorrt-rtx", "version": "1", "platform": "Linux-x86_64",
            "profiles": [{}] * profiles, "plan": {"bytes": 64, "sha256": "0"},
        }  # fmt: skip
        (folder / "engine.json").write_text(json.dumps(about))
        return Deployable(name, folder, FACE, platform="tensorrt-rtx")

    return make


def parse(entry: Path) -> Any:  # noqa: ANN401  # a protobuf message has no static type
    return text_format.Parse((entry / "config.pbtxt").read_text(), model_config_pb2.ModelConfig())


@pytest.mark.parametrize(
    ("golden", "graphs", "profiles"), [("plain", False, 1), ("profiles", False, 2), ("graphs", True, 1)]
)
def test_configuration(
    golden: str, *, graphs: bool, profiles: int, deployable: Callable[..., Deployable], tmp_path: Path
) -> None:
    entry = Triton(cuda_graphs=graphs).emit(deployable(profiles=profiles), tmp_path / "repository")
    assert (entry / "config.pbtxt").read_text() == (GOLDEN / f"{golden}.pbtxt").read_text()
    assert sorted(path.name for path in entry.rglob("*") if path.is_file()) == ["config.pbtxt", "model.plan"]
    check_entries(entry.parent)


@pytest.mark.parametrize(("text", "precision"), [(INT8, "INT8"), (HALF, "FP16")], ids=["int8", "half"])
def test_onnxruntime_may_give_a_graph_to_tensorrt(text: str, precision: str, tmp_path: Path) -> None:
    folder = tmp_path / "artifact"
    folder.mkdir()
    onnx.save(proto(text), folder / "model.onnx")
    face = replace(FACE, inputs=(Tensor("x", "float32", ("batch", 16)),))
    config = parse(Triton(tensorrt=True).emit(Deployable("net", folder, face), tmp_path / "repository"))
    (accelerator,) = config.optimization.execution_accelerators.gpu_execution_accelerator
    assert (config.backend, accelerator.name) == ("onnxruntime", "tensorrt")
    assert accelerator.parameters["precision_mode"] == precision
    check_entries(tmp_path / "repository")


def test_a_plan_under_another_platform_is_refused(deployable: Callable[..., Deployable], tmp_path: Path) -> None:
    config = Triton().emit(deployable(), tmp_path / "repository") / "config.pbtxt"
    config.write_text(config.read_text().replace("tensorrt_plan", "python"))
    with pytest.raises(UsageError, match="another backend than onnxruntime or tensorrt"):
        check_entries(tmp_path / "repository")


@pytest.mark.heavy
def test_a_server_without_the_backend_says_so(deployable: Callable[..., Deployable], tmp_path: Path) -> None:
    Triton().emit(deployable(), tmp_path / "repository")
    with (
        pytest.raises(MissingDependency, match="tritonserver with its tensorrt backend, on a GPU"),
        Triton().serve(tmp_path / "repository", tmp_path / "log"),
    ):
        pass


@pytest.mark.heavy
def test_a_real_server_takes_the_layout(
    deployable: Callable[..., Deployable], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def with_stand_in(work: Path) -> Installation:
        found = find(work)
        (found.backends / "tensorrt").mkdir()
        shutil.copyfile(Path(__file__).with_name("plan_backend.py"), found.backends / "tensorrt" / "model.py")
        return found

    monkeypatch.setattr(triton_server, "find", with_stand_in)
    Triton().emit(deployable("plain"), tmp_path / "repository")
    Triton(cuda_graphs=True).emit(deployable("several", profiles=2), tmp_path / "repository")
    with Triton().serve(tmp_path / "repository", tmp_path / "log") as client:
        for name in ("plain", "several"):
            assert client.max_batch(name) == 16
            answer = client.infer(name, {"x": np.zeros((3, 3), np.float32)}, "http")
            assert answer["y"].shape == (3, 4)
