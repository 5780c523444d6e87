from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from tests.cli.project import data, onnx_model, write_data

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.command import Optkit
    from tests.cli.project import Project


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a folder with a float model and data."""
    folder = tmp_path_factory.mktemp("inspected")
    onnx.save(onnx_model(), folder / "model.onnx")
    samples = data(seed=1, count=32)["x"].astype(np.float32)
    write_data(folder / "data.npz", {"x": samples})
    write_data(folder / "large.npz", {"x": samples * np.float32(100)})
    return folder


@pytest.fixture(scope="module")
def quantized(folder: Path, optkit: Optkit) -> Path:
    """Returns the static int8 version of the model."""
    optkit("run", "quantize", folder / "model.onnx", "--calibration", folder / "data.npz", "-o", folder / "int8")
    return folder / "int8"


def test_a_table(quantized: Path, folder: Path, optkit: Optkit) -> None:
    done = optkit(
        "inspect", quantized, "--quantization", "--against", folder / "model.onnx", "--data", folder / "data.npz"
    )
    lines = {line.split()[0]: line for line in done.out.splitlines() if line.startswith("  ")}
    assert "2 int8" in lines["Gemm"] or "2 of 2" in lines["Gemm"]
    assert "uint8" in lines["x"]
    assert lines["x"].rstrip().endswith("dB")


def test_json(quantized: Path, folder: Path, optkit: Optkit) -> None:
    found = optkit("inspect", quantized, "--quantization", "--against", folder / "model.onnx", "--json").json
    assert found["counts"]["Gemm"] == {"int8": 2}
    assert found["runtime"]["Gemm"] == [2, 2]
    by_role = {role: [row for row in found["tensors"] if row["role"] == role] for role in ("activation", "weight")}
    assert len(by_role["weight"]) == 2
    for row in (*by_role["activation"], *by_role["weight"]):
        assert row["sqnr_db"] > 15
        assert row["scale"][0] > 0
        assert row["range"][0] < row["range"][1]


def test_data_beyond_the_ranges_saturates(quantized: Path, folder: Path, optkit: Optkit) -> None:
    shares = []
    for name in ("data.npz", "large.npz"):
        found = optkit("inspect", quantized, "--quantization", "--data", folder / name, "--json").json
        row = next(row for row in found["tensors"] if row["name"] == "x")
        assert row["sqnr_db"] is None
        shares.append(row["saturated"])
    assert shares[0] < 0.05
    assert shares[1] > 0.8


def test_weights_in_blocks_and_half_precision(optkit: Optkit, tmp_path: Path) -> None:
    proto = onnx_model()
    wide = np.random.default_rng(0).standard_normal((4, 64)).astype(np.float32)
    proto.graph.initializer[2].CopyFrom(numpy_helper.from_array(wide, "second_weight"))
    first = np.random.default_rng(1).standard_normal((64, 8)).astype(np.float32)
    proto.graph.initializer[0].CopyFrom(numpy_helper.from_array(first, "first_weight"))
    proto.graph.initializer[1].CopyFrom(numpy_helper.from_array(np.zeros(64, np.float32), "first_bias"))
    onnx.save(proto, tmp_path / "wide.onnx")
    optkit("run", "quantize-weights", tmp_path / "wide.onnx", "--set", "bits=4", "-o", tmp_path / "blocks")
    optkit("run", "cast", tmp_path / "blocks", "-o", tmp_path / "half")
    blocks, half = (
        optkit("inspect", tmp_path / name, "--quantization", "--against", tmp_path / "wide.onnx", "--json").json
        for name in ("blocks", "half")
    )
    assert blocks["counts"]["MatMulNBits"] == half["counts"]["MatMulNBits"] == {"int4-weights": 1}
    assert half["counts"]["Gemm"] == {"float16": 1}
    assert [row["sqnr_db"] > 18 for row in blocks["tensors"]] == [True]
    assert blocks["tensors"][0]["block"] == 32


def test_a_float_model_has_nothing_to_explain(folder: Path, optkit: Optkit) -> None:
    found = optkit("inspect", folder / "model.onnx", "--quantization", "--json").json
    assert found["counts"] == {"Gemm": {"float32": 2}, "Relu": {"float32": 1}}
    assert found["tensors"] == found["left_out"] == []
    assert "not quantized" not in optkit("inspect", folder / "model.onnx", "--quantization").out


def test_what_cannot_be_asked(quantized: Path, folder: Path, optkit: Optkit) -> None:
    assert "add --quantization" in optkit("inspect", quantized, "--against", folder / "model.onnx", code=2).err
    write_data(folder / "other.npz", {"image": np.zeros((8, 3), np.float32)})
    failed = optkit("inspect", quantized, "--quantization", "--data", folder / "other.npz", code=2)
    assert "the model needs 'x'" in failed.err
    (folder / "broken.onnx").write_bytes(b"no model")
    failed = optkit("inspect", quantized, "--quantization", "--against", folder / "broken.onnx", code=2)
    assert "broken.onnx: not an ONNX file" in failed.err


def test_the_plain_facts_stay(project: Project, optkit: Optkit) -> None:
    assert "Gemm" in optkit("inspect", project.folder / "model.onnx").out


def test_a_graph_that_the_runtime_refuses_is_still_shown(folder: Path, optkit: Optkit, tmp_path: Path) -> None:
    proto = onnx.load(folder / "int8" / "model.onnx")
    proto.graph.node.append(helper.make_node("NoSuchOperator", ["x"], ["extra"], domain="com.microsoft"))
    onnx.save(proto, tmp_path / "odd.onnx")
    found = optkit("inspect", tmp_path / "odd.onnx", "--quantization", "--json").json
    assert "ONNX Runtime refuses the graph" in found["runtime_error"]
    assert found["counts"]["Gemm"] == {"int8": 2}
