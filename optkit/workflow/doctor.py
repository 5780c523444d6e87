"""`optkit doctor`: what this machine has, what is missing and how to get it."""

from __future__ import annotations

import ctypes.util
import os
import platform
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from optkit.core.errors import MissingDependency, OptkitError
from optkit.core.keys import installed_version
from optkit.runtimes.cuda import find_gpu
from optkit.runtimes.table import RUNTIMES, check_installed
from optkit.workflow.host import cpu_name, this_host

if TYPE_CHECKING:
    from collections.abc import Iterator

_REQUIRED = ("torch", "onnx", "onnx_ir", "onnxruntime", "onnxscript", "onnxsim", "numpy", "scipy", "safetensors")
_OPTIONAL = {
    "openvino": "optkit[openvino]: the target openvino-cpu",
    "transformers": "optkit[huggingface]: models in a Hugging Face folder",
    "pillow": "optkit[images]: datasets of pictures",
    "pyarrow": "optkit[tables]: parquet datasets",
    "neural-compressor": "optkit[inc]: the quantize-inc pass",
    "tensorrt-rtx": "optkit[rtx]: engines for the target tensorrt-rtx",
    "tritonclient": "optkit[triton]: Triton entries and verify",
}
_INT8_FLAGS = ("avx512_vnni", "avx_vnni", "amx_int8")
_LOW_DISK = 2 << 30


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: What.
        state: ok, missing (something cannot work) or note (an option is absent).
        text: What was seen, and what to do about it.
    """

    name: str
    state: Literal["ok", "missing", "note"]
    text: str


def diagnose(store: Path) -> list[Finding]:
    """Returns everything worth knowing about the environment."""
    return [*_machine(store), *_packages(), *_devices(), *_runtimes(), _triton()]


def _machine(store: Path) -> Iterator[Finding]:
    yield Finding("python", "ok", f"{platform.python_version()} ({sys.executable})")
    yield Finding("cpu", "ok", f"{cpu_name()}, {os.cpu_count()} cores")
    found = [flag for flag in _INT8_FLAGS if flag in this_host().flags]
    text = ", ".join(found) if found else "none: int8 uses reduce_range and gains less"
    yield Finding("int8 instructions", "ok" if found else "note", text)
    existing = next(path for path in (store, *store.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    yield Finding("store", "ok" if free > _LOW_DISK else "note", f"{store}, {free / 1e9:.1f} GB free")


def _packages() -> Iterator[Finding]:
    for name in _REQUIRED:
        version = installed_version(name)
        missing = version == "absent"
        yield Finding(name, "missing" if missing else "ok", "pip install optkit" if missing else version)
    for name, why in _OPTIONAL.items():
        version = installed_version(name)
        yield Finding(
            name, "note" if version == "absent" else "ok", f"absent; {why}" if version == "absent" else version
        )


def _devices() -> Iterator[Finding]:
    driver = ctypes.util.find_library("cuda")
    yield Finding("nvidia driver", "ok" if driver else "note", _gpu(driver))


def _gpu(driver: str | None) -> str:
    if not driver:
        return "absent: GPU targets stay unmeasured"
    return f"{driver}, {find_gpu() or 'no GPU'}"


def _runtimes() -> Iterator[Finding]:
    for name in RUNTIMES:
        try:
            check_installed(name)
        except MissingDependency as error:
            yield Finding(f"runtime {name}", "note", "; ".join(filter(None, (error.message, error.hint))))
        else:
            yield Finding(f"runtime {name}", "ok", "runs here")


def _triton() -> Finding:
    from optkit.serving.triton_install import find

    with tempfile.TemporaryDirectory() as work:
        try:
            return Finding("tritonserver", "ok", str(find(Path(work)).binary))
        except OptkitError as error:
            return Finding("tritonserver", "note", f"{error.message} {error.hint}".strip())
