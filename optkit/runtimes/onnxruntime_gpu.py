"""ONNX Runtime's execution providers for NVIDIA devices, where its build and the machine have them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optkit.core.errors import MissingDependency
from optkit.runtimes import onnxruntime_cpu

if TYPE_CHECKING:
    from pathlib import Path

PROVIDERS = {
    "onnxruntime-cuda": "CUDAExecutionProvider",
    "onnxruntime-tensorrt": "TensorrtExecutionProvider",
}
"""Runtime → provider."""


def open_session(folder: Path, threads: int, provider: str) -> onnxruntime_cpu.OnnxRuntimeSession:
    """Opens `model.onnx` of the artifact at `folder` with `provider`; what it cannot run is left to the CPU.

    Raises:
        MissingDependency: The provider found no device: ONNX Runtime would go on without it.
        UsageError, StepFailed: As `onnxruntime_cpu.open_session` does.
    """
    session = onnxruntime_cpu.open_session(folder, threads, providers=(provider, onnxruntime_cpu.CPU))
    if provider not in session.inference.get_providers():
        raise MissingDependency(f"{provider} found no device that it can use", hint="optkit doctor")
    return session


def obstacle(provider: str) -> str:
    """Returns why no session can be opened with `provider`, as far as that is known without a model; or nothing."""
    try:
        import onnxruntime
    except ImportError:
        return "onnxruntime is not installed"
    return "" if provider in onnxruntime.get_available_providers() else f"this onnxruntime was built without {provider}"
