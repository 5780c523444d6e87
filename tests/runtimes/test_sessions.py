from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper

from optkit.core import interface, session_options
from optkit.core.errors import StepFailed, UsageError
from optkit.core.interface import Interface, Tensor
from optkit.core.session_options import SessionOptions
from optkit.runtimes import onnxruntime_cpu
from optkit.runtimes.table import RUNTIMES, runtime_named

if TYPE_CHECKING:
    from pathlib import Path

    from tests.runtimes.conftest import TorchModel


def _onnx(path: Path, op: str = "MatMul") -> Path:
    graph = helper.make_graph(
        [helper.make_node(op, ["x", "w"], ["y"])],
        "g",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3]),
            helper.make_tensor_value_info("w", TensorProto.FLOAT, [3, "columns"]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", "columns"])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, path / "model.onnx")
    return path


def test_unknown_runtime_lists_those_that_exist() -> None:
    with pytest.raises(UsageError, match="unknown runtime 'tvm'\nknown: torch, torch-compile, onnxruntime, "):
        runtime_named("tvm")


def test_the_table_imports_no_library() -> None:
    libraries = {"torch", "onnxruntime", "openvino", "numpy", "onnx"}
    code = f"import sys, optkit.runtimes; print(sorted({libraries} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_onnxruntime_runs_and_ignores_inputs_that_the_graph_lacks(tmp_path: Path) -> None:
    session = RUNTIMES["onnxruntime"].open(_onnx(tmp_path), 1)
    x, w = np.eye(3, dtype=np.float32)[:2], np.arange(6, dtype=np.float32).reshape(3, 2)
    outputs = session.run({"unused": x, "w": w, "x": x})
    np.testing.assert_allclose(outputs["y"], w[:2], rtol=0, atol=0)


def test_onnxruntime_errors_are_short(tmp_path: Path) -> None:
    session = RUNTIMES["onnxruntime"].open(_onnx(tmp_path), 1)
    x = np.zeros((2, 3), np.float32)
    with pytest.raises(StepFailed, match="the model also needs w"):
        session.run({"x": x})
    with pytest.raises(StepFailed, match=r"^onnxruntime: Got invalid dimensions for input: w[^\n]*$"):
        session.run({"x": x, "w": np.zeros((4, 2), np.float32)})


@pytest.mark.parametrize("content", [b"", b"no model", None])
def test_onnx_files_that_are_none(tmp_path: Path, content: bytes | None) -> None:
    path = _onnx(tmp_path) / "model.onnx"
    path.write_bytes(path.read_bytes()[:-7] if content is None else content)
    with pytest.raises(UsageError, match=r"^model\.onnx is damaged") as caught:
        RUNTIMES["onnxruntime"].open(tmp_path, 1)
    assert str(tmp_path) not in str(caught.value)


def test_unknown_operator_is_named_and_nothing_is_logged(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    _onnx(tmp_path, op="Frobnicate")
    with pytest.raises(StepFailed, match="Frobnicate"):
        RUNTIMES["onnxruntime"].open(tmp_path, 1)
    assert capfd.readouterr() == ("", "")


def test_absent_onnx_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"model\.onnx is missing"):
        RUNTIMES["onnxruntime"].open(tmp_path, 1)


def test_torch_takes_read_only_arrays_and_keeps_the_order_of_outputs(torch_model: TorchModel) -> None:
    source = """
        import torch
        class Net(torch.nn.Module):
            def forward(self, x):
                return {"double": 2 * x, "half": (x / 2).to(torch.bfloat16)}
        build = Net
    """
    session = RUNTIMES["torch"].open(torch_model(source, outputs=("b", "a")), 1)
    x = np.ones((2, 3), np.float32)
    x.setflags(write=False)
    outputs = session.run({"x": x})
    assert list(outputs) == ["b", "a"]
    np.testing.assert_allclose(outputs["b"], 2 * x, rtol=0, atol=0)
    assert outputs["a"].dtype == np.float32


def test_forward_that_raises_is_blamed_at_its_line(torch_model: TorchModel) -> None:
    source = """
        import torch
        class Net(torch.nn.Module):
            def forward(self, x):
                return x @ x
        build = Net
    """
    session = RUNTIMES["torch"].open(torch_model(source), 1)
    with pytest.raises(StepFailed, match=r"^model\.py:4 in forward: RuntimeError: mat1 and mat2"):
        session.run({"x": np.ones((2, 3), np.float32)})


class _Keyword(torch.nn.Module):
    def forward(self, x: torch.Tensor, *, mask: torch.Tensor) -> torch.Tensor:
        return x - mask


@pytest.mark.heavy
def test_exported_program(tmp_path: Path) -> None:
    batch = torch.export.Dim("batch")
    dynamic = {"x": {0: batch}, "mask": {0: batch}}
    program = torch.export.export(_Keyword(), (torch.ones(2, 3),), {"mask": torch.ones(2, 3)}, dynamic_shapes=dynamic)
    torch.export.save(program, tmp_path / "model.pt2")
    tensors = tuple(Tensor(name, "float32", ("batch", 3)) for name in ("mask", "x"))
    interface.write(tmp_path, Interface(tensors, (Tensor("y", "float32", ("batch", "...")),)))
    session = RUNTIMES["torch"].open(tmp_path, 1)
    x, mask = np.full((4, 3), 5, np.float32), np.ones((4, 3), np.float32)
    np.testing.assert_allclose(session.run({"mask": mask, "x": x})["y"], x - mask, rtol=0, atol=0)


@pytest.mark.heavy
def test_exported_program_with_other_sizes(tmp_path: Path) -> None:
    program = torch.export.export(torch.nn.Linear(3, 2), (torch.ones(2, 3),))
    torch.export.save(program, tmp_path / "model.pt2")
    ends = Tensor("x", "float32", ("batch", 3)), Tensor("y", "float32", ("batch", "..."))
    interface.write(tmp_path, Interface(ends[:1], ends[1:]))
    session = RUNTIMES["torch"].open(tmp_path, 1)
    with pytest.raises(UsageError, match=r"does not take the sizes that the recipe declares: .*== 2"):
        session.run({"x": np.ones((4, 3), np.float32)})


@pytest.mark.parametrize("content", [b"", b"junk"])
def test_damaged_program(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.pt2").write_bytes(content)
    (tmp_path / "model.json").write_text(json.dumps({"interface": {"inputs": [], "outputs": [], "dims": {}}}))
    with pytest.raises(UsageError, match=r"model\.pt2 is missing, truncated"):
        RUNTIMES["torch"].open(tmp_path, 1)


def test_an_idle_session_leaves_the_cpus_alone(tmp_path: Path) -> None:
    session = RUNTIMES["onnxruntime"].open(_onnx(tmp_path), 2)
    inputs = {"x": np.ones((256, 3), np.float32), "w": np.ones((3, 20000), np.float32)}
    for _ in range(5):
        session.run(inputs)
    started = time.process_time()
    time.sleep(0.2)
    assert time.process_time() - started < 0.02  # a pool that spins on takes 0.05 s


def test_onnxruntime_runs_as_the_artifact_says(tmp_path: Path) -> None:
    _onnx(tmp_path)
    session_options.write(SessionOptions(2, "parallel", "basic", arena=False, spinning=False), tmp_path)
    options = onnxruntime_cpu.open_session(tmp_path, 4).inference.get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (2, 2)
    assert options.execution_mode == onnxruntime.ExecutionMode.ORT_PARALLEL
    assert options.graph_optimization_level == onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    assert not options.enable_cpu_mem_arena
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


def test_whoever_opens_a_session_may_allow_fewer_threads(tmp_path: Path) -> None:
    _onnx(tmp_path)
    session_options.write(SessionOptions(2), tmp_path)
    options = onnxruntime_cpu.open_session(tmp_path, 1).inference.get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)


def test_damaged_session_options_are_refused(tmp_path: Path) -> None:
    _onnx(tmp_path)
    (tmp_path / "session.json").write_text("{}")
    with pytest.raises(UsageError, match=r"session\.json holds no session options"):
        RUNTIMES["onnxruntime"].open(tmp_path, 1)
