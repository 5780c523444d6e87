"""Finds a tritonserver that can serve ONNX models on this machine."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from optkit.core.errors import MissingDependency

DISTRIBUTION = "nvidia-pytriton"
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
NO_TENSORRT = "an engine is verified by a tritonserver with its tensorrt backend, on a GPU, and none is here"
STUB = "triton_python_backend_stub"


@dataclass(frozen=True, slots=True)
class Installation:
    """A server that can be started.

    Attributes:
        binary: The executable.
        backends: Folder of its backends.
        environment: What it runs in.
        backend: What runs the models, for the report.
    """

    binary: Path
    backends: Path
    environment: dict[str, str]
    backend: str

    @property
    def lacks_tensorrt(self) -> bool:
        """Whether it cannot run engines."""
        return not (self.backends / "tensorrt").is_dir()


def tensorrt_server() -> bool:
    """Returns whether the server on PATH, if there is one, can run engines."""
    found = _full()
    return found is not None and not found.lacks_tensorrt


def find(work: Path) -> Installation:
    """Returns a full tritonserver on PATH, else the one inside the nvidia-pytriton package.

    Args:
        work: Empty folder that lives as long as the server; receives the layout of backends.

    Raises:
        MissingDependency: There is none, or it cannot run here.
    """
    found = _full() or _bundled(work)
    if found is None:
        raise MissingDependency(
            "verifying a Triton repository needs a tritonserver, and none is installed",
            hint=f"pip install --no-deps {DISTRIBUTION}, or put a tritonserver with its onnxruntime backend on PATH",
        )
    return found


def _full() -> Installation | None:
    binary = shutil.which("tritonserver")
    if binary is None:
        return None
    backends = Path(binary).resolve().parent.parent / "backends"
    if not (backends / "onnxruntime").is_dir():
        return None
    return Installation(Path(binary).resolve(), backends, dict(os.environ), "its own onnxruntime backend")


def _bundled(work: Path) -> Installation | None:
    try:
        distribution = metadata.distribution(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return None
    root = Path(str(distribution.locate_file("pytriton/tritonserver")))
    backends = work / "backends"
    _lay_out(root, backends, VERSION)
    environment = _environment(root.parent.parent / "nvidia_pytriton.libs")
    check_stub(backends / "python" / STUB, environment)
    return Installation(
        root / "bin" / "tritonserver", backends, environment, "optkit's stand-in for its onnxruntime backend"
    )


def _lay_out(root: Path, backends: Path, version: str) -> None:
    stub = root / "python_backend_stubs" / version / STUB
    if not stub.exists():
        raise MissingDependency(f"{DISTRIBUTION} has no backend for Python {version}", hint="Use an older Python.")
    python, onnxruntime = backends / "python", backends / "onnxruntime"
    shutil.copytree(root / "backends" / "python", python)  # the server refuses backends that are links
    shutil.copyfile(stub, python / STUB)
    (python / STUB).chmod(0o755)
    onnxruntime.mkdir()
    shutil.copyfile(Path(__file__).with_name("ort_backend.py"), onnxruntime / "model.py")


def _environment(libraries: Path) -> dict[str, str]:
    """The stub embeds Python: it must find our libpython, our standard library and our packages."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    loader = [str(libraries), *map(str, _libpython_folders()), *_split(environment.get("LD_LIBRARY_PATH"))]
    return environment | {
        "LD_LIBRARY_PATH": os.pathsep.join(loader),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), *_split(environment.get("PATH"))]),
        "PYTHONPATH": os.pathsep.join(map(str, _package_folders())),
        "CUDA_VISIBLE_DEVICES": "",  # the stand-in runs on the CPU
    }


def _split(paths: str | None) -> list[str]:
    return paths.split(os.pathsep) if paths else []


def _libpython_folders() -> list[Path]:
    name = f"libpython{VERSION}.so.1.0"
    folders = [Path(folder) for folder in (sysconfig.get_config_var("LIBDIR"), f"{sys.base_prefix}/lib") if folder]
    return [folder for folder in folders if (folder / name).exists()]


def _package_folders() -> list[Path]:
    specs = [importlib.util.find_spec(name) for name in ("numpy", "onnxruntime")]
    origins = [Path(spec.origin) for spec in specs if spec is not None and spec.origin is not None]
    return list(dict.fromkeys(origin.parent.parent for origin in origins))


def check_stub(stub: Path, environment: dict[str, str]) -> None:
    """Starts the stub for nothing: without its libpython, the server would only say that a model did not load.

    Raises:
        MissingDependency: The loader did not find a shared library.
    """
    done = subprocess.run([stub], env=environment, capture_output=True, text=True, check=False)
    if "error while loading shared libraries" in done.stderr:
        library = done.stderr.split("libraries:")[1].split(":")[0].strip()
        package = library.split(".so")[0]
        raise MissingDependency(
            f"Triton's Python backend needs the shared library {library}", hint=f"apt-get install {package}"
        )
