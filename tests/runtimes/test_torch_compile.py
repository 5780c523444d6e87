from __future__ import annotations

import sysconfig
from typing import TYPE_CHECKING

import numpy as np
import pytest

from optkit.core.errors import MissingDependency
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
