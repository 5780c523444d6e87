from __future__ import annotations

import sysconfig
from typing import TYPE_CHECKING

import numpy as np
import pytest

from optkit.core.errors import MissingDependency
from optkit.core.interface import Tensor
from optkit.runtimes import onnxruntime_gpu, torch_compile
from optkit.runtimes.table import check_installed, runtime_named

if TYPE_CHECKING:
    from pathlib import Path

    from tests.runtimes.conftest import TorchModel


def test_without_a_compiler_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(MissingDependency, match=r"torch-compile cannot run here: there is no C\+\+ compiler 'no-such"):
        check_installed("torch-compile")


def test_without_pythons_headers_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CXX", "true")
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(tmp_path))
    assert torch_compile.obstacle() == f"Python's headers are missing ({tmp_path}/Python.h)"
    (tmp_path / "Python.h").touch()
    assert not torch_compile.obstacle()


def test_a_provider_that_was_not_built_in_is_absent() -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    if onnxruntime_gpu.PROVIDERS["onnxruntime-cuda"] in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has it")
    with pytest.raises(MissingDependency, match="onnxruntime-cuda cannot run here: this onnxruntime was built without"):
        check_installed("onnxruntime-cuda")
    assert not onnxruntime_gpu.obstacle("CPUExecutionProvider")


@pytest.mark.heavy
def test_it_computes_what_eager_computes(torch_model: TorchModel) -> None:
    if reason := torch_compile.obstacle():
        pytest.skip(reason)
    folder = torch_model()
    x = np.random.default_rng(0).standard_normal((5, 3), np.float32)
    eager, compiled = (runtime_named(name).open(folder, 1).run({"x": x})["y"] for name in ("torch", "torch-compile"))
    np.testing.assert_allclose(compiled, eager, rtol=1e-6, atol=1e-6)


@pytest.mark.heavy
def test_a_profile_names_the_kernels_that_the_compiler_wrote(torch_model: TorchModel) -> None:
    if reason := torch_compile.obstacle():
        pytest.skip(reason)
    source = """
        import torch

        class Net(torch.nn.Module):
            def forward(self, x):
                return torch.relu(x @ x.T) + 1
    """
    folder = torch_model(source, factory="model.py:Net", inputs=(Tensor("x", "float32", ("batch", 64)),))
    session = torch_compile.open_profiled(folder, 1)
    x = np.random.default_rng(0).standard_normal((64, 64), np.float32)
    for _ in range(2):
        np.testing.assert_allclose(session.run({"x": x})["y"], np.maximum(x @ x.T, 0) + 1, rtol=1e-4, atol=1e-4)
    _, calls = session.finish()
    taken = {call.operator.type: call for call in calls}
    assert taken["aten::mm"].ms > 0
    assert taken["cpp_fused_add_relu"].ms > 0
    assert taken["cpp_fused_add_relu"].operator.name.endswith(", kernel 0")
