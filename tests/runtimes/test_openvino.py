from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import parser

from optkit.core import interface
from optkit.core.errors import MissingDependency, StepFailed, UsageError
from optkit.core.interface import Dim, Interface, Tensor
from optkit.runtimes.openvino_cpu import compile_model
from optkit.runtimes.table import RUNTIMES

if TYPE_CHECKING:
    from pathlib import Path

    from optkit.runtimes.session import Session

PRODUCT = "net (float[batch,3] x, float[3,columns] w) => (float[batch,columns] y) { y = MatMul(x, w) }"


def artifact(folder: Path, text: str, outputs: tuple[str, ...] = ("y",)) -> Path:
    model = parser.parse_model(f'<ir_version: 10, opset_import: ["" : 20]>\n{text}')
    onnx.save(model, folder / "model.onnx")
    inputs = tuple(Tensor(value.name, "float32", ("batch", "...")) for value in model.graph.input)
    results = tuple(Tensor(name, "float32", ("batch", "...")) for name in outputs)
    interface.write(folder, Interface(inputs, results, {"batch": Dim()}))
    return folder


def opened(folder: Path, threads: int = 1) -> Session:
    pytest.importorskip("openvino")
    return RUNTIMES["openvino"].open(folder, threads)


def test_other_sizes_in_every_run_and_inputs_that_the_graph_lacks(tmp_path: Path) -> None:
    session = opened(artifact(tmp_path, PRODUCT))
    for rows, columns in ((2, 2), (5, 1), (1, 7)):
        x, w = np.full((rows, 3), 2, np.float32), np.arange(3 * columns, dtype=np.float32).reshape(3, columns)
        x.setflags(write=False)
        outputs = session.run({"unused": x, "w": np.asfortranarray(w), "x": x})
        np.testing.assert_allclose(outputs["y"], x @ w, rtol=1e-6, atol=0)


def test_results_outlive_the_next_run(tmp_path: Path) -> None:
    session = opened(artifact(tmp_path, "net (float[batch,3] x) => (float[batch,3] y) { y = Neg(x) }"))
    first = session.run({"x": np.ones((2, 3), np.float32)})["y"]
    session.run({"x": np.zeros((2, 3), np.float32)})
    np.testing.assert_allclose(first, -1, rtol=0, atol=0)


def test_outputs_come_in_the_order_of_the_interface(tmp_path: Path) -> None:
    text = "net (float[N,3] x) => (float[N,3] a, float[N,3] b, float[N,3] c) { a = Neg(x) b = Identity(x) c = Neg(a) }"
    session = opened(artifact(tmp_path, text, ("c", "b", "a")))
    outputs = session.run({"x": np.ones((2, 3), np.float32)})
    assert [(name, float(array[0, 0])) for name, array in outputs.items()] == [("c", 1), ("b", 1), ("a", -1)]


def test_integers_and_booleans(tmp_path: Path) -> None:
    text = "net (int64[N,3] x, bool[N,3] m) => (int64[N,3] y, bool[N,3] z) { y = Add(x, x) z = Not(m) }"
    session = opened(artifact(tmp_path, text, ("y", "z")))
    x = np.array([[2**33, -1, 0]])
    outputs = session.run({"x": x, "m": x > 0})
    assert [array.dtype.name for array in outputs.values()] == ["int64", "bool"]
    np.testing.assert_array_equal(outputs["z"], x <= 0)


def test_float_parts_are_computed_in_float32(tmp_path: Path) -> None:
    """Also on a CPU with bfloat16, whose 8 bits would lose the smaller addend."""
    pytest.importorskip("openvino")
    compiled = compile_model(artifact(tmp_path, PRODUCT) / "model.onnx", 2)
    assert compiled.get_property("INFERENCE_PRECISION_HINT").to_string() == "f32"
    assert compiled.get_property("INFERENCE_NUM_THREADS") == 2
    x, w = np.array([[4096, 1, 0]], np.float32), np.ones((3, 1), np.float32)
    np.testing.assert_allclose(opened(tmp_path).run({"x": x, "w": w})["y"], [[4097]], rtol=0, atol=0)


def test_weights_beside_the_graph(tmp_path: Path) -> None:
    artifact(tmp_path, "net (float[N,64] x) => (float[N,64] y) { y = MatMul(x, w) }")
    model, w = onnx.load(tmp_path / "model.onnx"), np.random.default_rng(0).standard_normal((64, 64), np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(w, "w"))
    onnx.save(model, tmp_path / "model.onnx", save_as_external_data=True, location="model.onnx.data", size_threshold=0)
    x = np.eye(64, dtype=np.float32)
    np.testing.assert_allclose(opened(tmp_path).run({"x": x})["y"], w, rtol=1e-6, atol=0)


def test_errors_of_a_run_are_short(tmp_path: Path) -> None:
    session = opened(artifact(tmp_path, PRODUCT))
    x = np.zeros((2, 3), np.float32)
    with pytest.raises(StepFailed, match="the model also needs w"):
        session.run({"x": x})
    with pytest.raises(StepFailed, match="input w is of float64, the model takes float32"):
        session.run({"x": x, "w": x.T.astype(np.float64)})
    with pytest.raises(StepFailed, match=r"^openvino: Can't set the input tensor with index: 1[^\n]*incompatible$"):
        session.run({"x": x, "w": np.zeros((4, 2), np.float32)})


@pytest.mark.parametrize("content", [b"", b"no model", None])
def test_files_that_are_no_onnx(tmp_path: Path, content: bytes | None, capfd: pytest.CaptureFixture[str]) -> None:
    path = artifact(tmp_path, PRODUCT) / "model.onnx"
    path.write_bytes(path.read_bytes()[:-7] if content is None else content)
    with pytest.raises(UsageError, match=r"^model\.onnx is damaged") as caught:
        opened(tmp_path)
    assert str(tmp_path) not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_absent_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"model\.onnx is missing"):
        opened(tmp_path)


def test_output_that_the_interface_names_and_the_graph_lacks(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"model\.onnx has no output z"):
        opened(artifact(tmp_path, PRODUCT, ("y", "z")))


def test_unknown_operator_is_named(tmp_path: Path) -> None:
    with pytest.raises(StepFailed, match="No conversion rule found for operations: Frobnicate"):
        opened(artifact(tmp_path, "net (float[N,3] x) => (float[N,3] y) { y = Frobnicate(x) }"))


def test_absent_library_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingDependency) as caught:
        RUNTIMES["openvino"].open(artifact(tmp_path, PRODUCT), 1)
    assert caught.value.exit_code == 4
    assert caught.value.hint == "pip install 'optkit[openvino]'"


def test_importing_it_reports_to_nobody() -> None:
    pytest.importorskip("openvino_telemetry")
    code = (
        "import sys; from optkit.runtimes.openvino_cpu import import_openvino; import_openvino();"
        "assert 'openvino_telemetry' not in sys.modules; import openvino_telemetry"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_an_idle_session_leaves_the_cpus_alone(tmp_path: Path) -> None:
    session = opened(artifact(tmp_path, PRODUCT), 2)
    inputs: dict[str, Any] = {"x": np.ones((256, 3), np.float32), "w": np.ones((3, 20000), np.float32)}
    for _ in range(5):
        session.run(inputs)
    started = time.process_time()
    time.sleep(0.2)
    assert time.process_time() - started < 0.02
