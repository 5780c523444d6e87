"""What the real runtimes tell about a float and a quantized graph, and how traces are read."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper, parser

from optkit.core import interface
from optkit.core.interface import Dim, Interface, Tensor
from optkit.runtimes.onnxruntime_profile import arithmetic, calls_by_run
from optkit.runtimes.table import RUNTIMES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from optkit.runtimes.profiling import Call
    from tests.runtimes.conftest import TorchModel

X = {"x": np.random.default_rng(0).uniform(-1, 1, (4, 64)).astype(np.float32)}
QUANTIZED = """net (float[batch,64] x) => (float[batch,32] y)
<float s = {0.0078}, uint8 z = {128}, int8 w0 = {0}, float ws = {0.01}, float os = {0.05}> {
  [into] xq = QuantizeLinear(x, s, z)
  [out_of] xd = DequantizeLinear(xq, s, z)
  [weights] wd = DequantizeLinear(w, ws, w0)
  [head] h = MatMul(xd, wd)
  [small] hq = QuantizeLinear(h, os, z)
  [large] hd = DequantizeLinear(hq, os, z)
  [soft] y = Softmax(hd)
}"""
LOOP = """net (float[batch,64] x) => (float[batch,64] y)
<int64 n = {3}, bool go = {1}> {
  [loop] y = Loop(n, go, x) <body = body (int64 i, bool c, float[batch,64] a) => (bool d, float[batch,64] b) {
    [same] d = Identity(c)
    [sine] b = Sin(a)
  }>
}"""


def artifact(folder: Path, text: str, columns: int) -> Path:
    model = parser.parse_model(f'<ir_version: 10, opset_import: ["" : 20]>\n{text}')
    weights = np.random.default_rng(1).integers(-127, 128, (64, 32)).astype(np.int8)
    if "wd" in text:
        model.graph.initializer.append(numpy_helper.from_array(weights, "w"))
    onnx.save(model, folder / "model.onnx")
    tensors = (Tensor("x", "float32", ("batch", 64)),), (Tensor("y", "float32", ("batch", columns)),)
    interface.write(folder, Interface(*tensors, {"batch": Dim(1, 4, 8)}))
    return folder


def profiled(runtime: str, folder: Path, runs: int = 2) -> Sequence[Sequence[Call]]:
    open_profiled = RUNTIMES[runtime].open_profiled
    assert open_profiled is not None
    session = open_profiled(folder, 1)
    expected = RUNTIMES[runtime].open(folder, 1).run(X)
    for _ in range(runs):
        np.testing.assert_allclose(session.run(X)["y"], expected["y"], rtol=0, atol=1e-6)
    return session.finish()


def kinds(run: Sequence[Call]) -> Counter[str]:
    return Counter(call.operator.arithmetic for call in run)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_a_quantized_product_is_int8_and_the_way_in_a_conversion(runtime: str, tmp_path: Path) -> None:
    if runtime == "openvino":
        pytest.importorskip("openvino")
    first, second = profiled(runtime, artifact(tmp_path, QUANTIZED, 32))
    assert [call.operator for call in first] == [call.operator for call in second]
    by_name = {call.operator.name: call.operator for call in first}
    assert by_name["into"].arithmetic == "conversion"
    assert by_name["head"].arithmetic == "int8"
    assert kinds(first)["other"] >= 1  # the Softmax
    assert all(call.ms >= 0 for call in first)


def test_the_time_of_a_loop_is_without_its_body(tmp_path: Path) -> None:
    (run,) = profiled("onnxruntime", artifact(tmp_path, LOOP, 64), runs=1)
    assert Counter(call.operator.name for call in run) == {"loop": 1, "same": 3, "sine": 3}


def test_the_trace_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "m").mkdir()
    profiled("onnxruntime", artifact(tmp_path / "m", LOOP, 64), runs=1)
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_torch_operators_are_what_the_code_calls_in_the_module_that_calls_it(torch_model: TorchModel) -> None:
    source = """
        import torch

        class Net(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.body = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU())

            def forward(self, x):
                return self.body(torch.softmax(self.body(x), dim=1))
    """
    folder = torch_model(source, factory="model.py:Net", inputs=(Tensor("x", "float32", ("batch", 64)),))
    for run in profiled("torch", folder):
        found = Counter((call.operator.name, call.operator.type) for call in run)
        assert found["body.0", "aten::linear"] == 2
        assert found["body.1", "aten::relu"] == 2
        assert found["", "aten::softmax"] == 1
        assert not any("addmm" in operator for _, operator in found)  # linear's own business
        assert set(kinds(run)) == {"other"}


def event(name: str, start: int, duration: int, operator: str = "", thread: int = 1) -> dict[str, Any]:
    kind, args = ("Node", {"op_name": operator}) if operator else ("Session", {})
    return {"cat": kind, "name": name, "tid": thread, "ts": start, "dur": duration, "args": args}


def test_branches_that_run_at_once_keep_their_own_times() -> None:
    trace = [
        event("model_run", 0, 10, thread=9),
        event("left_kernel_time", 1, 6, "MatMul", thread=1),
        event("right_kernel_time", 2, 3, "MatMul", thread=2),
        event("then_kernel_time", 6, 1, "Relu", thread=2),
    ]
    (run,) = calls_by_run(trace)
    assert {call.operator.name: call.ms for call in run} == {"left": 0.006, "right": 0.003, "then": 0.001}


def test_a_trace_is_cut_into_runs_and_names_lose_their_endings() -> None:
    trace = [
        event("model_loading_uri", 0, 5),
        event("conv_token_12_kernel_time", 12, 3, "QLinearConv"),
        event("conv_nchwc_fence_before", 12, 0, "QLinearConv"),
        event("model_run", 10, 10),
        event("loop_kernel_time", 31, 8, "Loop"),
        event("sine/MatMulScaleFusion/_kernel_time", 31, 3, "Sin"),
        event("conv_nchwc_kernel_time", 35, 2, "Conv"),
        event("model_run", 30, 10),
    ]
    runs = [[(call.operator.name, call.operator.type, call.ms) for call in run] for run in calls_by_run(trace)]
    assert runs == [
        [("conv", "QLinearConv", 0.003)],
        [("loop", "Loop", 0.003), ("sine", "Sin", 0.003), ("conv", "Conv", 0.002)],
    ]


@pytest.mark.parametrize(
    ("operator", "takes", "gives", "expected"),
    [
        ("QLinearConv", ["uint8", "float"], "uint8", "int8"),
        ("QLinearConcat", ["float", "uint8", "uint8"], "uint8", "int8"),
        ("MatMulIntegerToFloat", ["uint8", "int8"], "float", "int8"),
        ("DynamicQuantizeMatMul", ["float", "int8"], "float", "int8"),
        ("NhwcMaxPool", ["int8"], "int8", "int8"),
        ("MatMulNBits", ["float", "uint8"], "float", "other"),
        ("QuantizeLinear", ["float", "float"], "uint8", "conversion"),
        ("DequantizeLinear", ["int8", "float"], "float", "conversion"),
        ("Cast", ["uint8"], "float", "conversion"),
        ("Cast", ["int64"], "float", "other"),
        ("DequantizeLinear", ["int32", "float"], "float", "other"),
        ("Shape", [], "int64", "other"),
    ],
)
def test_what_counts_as_int8(operator: str, takes: list[str], gives: str, expected: str) -> None:
    args = {"input_type_shape": [{dtype: [1]} for dtype in takes], "output_type_shape": [{gives: [1]}]}
    assert arithmetic(operator, args) == expected
