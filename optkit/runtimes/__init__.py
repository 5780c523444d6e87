"""Runtimes: each one opens a model artifact as a `Session`, whatever library stands behind it.

Only this table knows their names; opening one imports its library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from optkit.core.errors import UsageError
from optkit.runtimes import onnxruntime_cpu, openvino_cpu, torch_eager
from optkit.runtimes.session import Runtime, Session

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["RUNTIMES", "Runtime", "Session", "runtime_named"]

RUNTIMES: Mapping[str, Runtime] = {
    "torch": Runtime("torch", frozenset({"torch", "program"}), ("torch", "safetensors"), torch_eager.open_session),
    "onnxruntime": Runtime("onnxruntime", frozenset({"onnx"}), ("onnxruntime",), onnxruntime_cpu.open_session),
    "openvino": Runtime("openvino", frozenset({"onnx"}), ("openvino",), openvino_cpu.open_session),
}


def runtime_named(name: str) -> Runtime:
    """Returns the runtime called `name`.

    Raises:
        UsageError: There is none.
    """
    if name not in RUNTIMES:
        raise UsageError(f"unknown runtime '{name}'", hint=f"known: {', '.join(RUNTIMES)}")
    return RUNTIMES[name]
