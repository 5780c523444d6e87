from __future__ import annotations

import os
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from optkit.core.errors import MissingDependency
from optkit.serving import triton_install
from optkit.serving.triton import Triton
from optkit.serving.triton_install import STUB, check_stub, find

if TYPE_CHECKING:
    from tests.serving.conftest import Zoo

BUNDLED = Path(str(metadata.distribution("nvidia-pytriton").locate_file("pytriton/tritonserver")))


@pytest.fixture
def only_bundled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")  # the server starts its backends with bash


@pytest.mark.usefixtures("only_bundled")
def test_bundled_server_gets_our_backend(tmp_path: Path) -> None:
    installation = find(tmp_path / "work")
    assert installation.binary == BUNDLED / "bin" / "tritonserver"
    assert "stand-in" in installation.backend
    assert (installation.backends / "onnxruntime" / "model.py").exists()
    assert os.access(installation.backends / "python" / STUB, os.X_OK)
    assert installation.environment["PYTHONPATH"] == str(Path(np.__file__).parent.parent)
    assert installation.environment["PATH"].startswith(str(Path(sys.executable).parent))


@pytest.mark.usefixtures("only_bundled")
def test_no_server_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triton_install, "DISTRIBUTION", "nvidia-absent")
    with pytest.raises(MissingDependency, match="pip install --no-deps nvidia-absent"):
        find(tmp_path)


@pytest.mark.usefixtures("only_bundled")
def test_server_on_path_without_the_backend_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "bin" / "tritonserver").write_text("#!/bin/sh\n")
    (tmp_path / "bin" / "tritonserver").chmod(0o755)
    assert find(tmp_path / "work").binary == BUNDLED / "bin" / "tritonserver"


def test_python_without_a_stub_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingDependency, match=r"no backend for Python 2\.7"):
        triton_install._lay_out(BUNDLED, tmp_path, "2.7")  # noqa: SLF001 - we run on one Python version only


def test_missing_libpython_names_its_package() -> None:
    absent = next(f"3.{minor}" for minor in (8, 9, 10) if sys.version_info.minor != minor)
    libraries = str(BUNDLED.parent.parent / "nvidia_pytriton.libs")
    with pytest.raises(MissingDependency, match=f"libpython{absent}.so") as caught:
        check_stub(BUNDLED / "python_backend_stubs" / absent / STUB, {"LD_LIBRARY_PATH": libraries})
    assert caught.value.hint == f"apt-get install libpython{absent}"


@pytest.mark.heavy
@pytest.mark.usefixtures("only_bundled")
def test_full_server_on_path_is_preferred(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zoo: Zoo) -> None:
    """The bundled server, installed the way that a full one is: binary and backends in one tree, on PATH."""
    opt = tmp_path / "opt"
    bundled = find(opt)
    (opt / "bin").mkdir()
    os.link(bundled.binary, opt / "bin" / "tritonserver")
    (tmp_path / "bin" / "tritonserver").symlink_to(opt / "bin" / "tritonserver")
    for key in ("LD_LIBRARY_PATH", "PYTHONPATH"):
        monkeypatch.setenv(key, bundled.environment[key])
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{bundled.environment['PATH']}")

    Triton().emit(zoo.deployable("flags", tmp_path), tmp_path / "repository")
    with Triton().serve(tmp_path / "repository", tmp_path / "log") as client:
        assert client.server.endswith("its own onnxruntime backend")
        answer = client.infer("flags", {"flag": np.array([True, False])}, "http")
    np.testing.assert_array_equal(answer["opposite"], [False, True])
