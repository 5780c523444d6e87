"""From a plan to an engine that its library can run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from optkit.core.errors import StepFailed
from optkit.runtimes.tensorrt.plan import PLAN_FILE
from optkit.runtimes.tensorrt.plugins import load_kept

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from optkit.runtimes.tensorrt.log import Log


def load_engine(trt: Any, folder: Path, about: Mapping[str, Any], log: Log) -> Any:  # noqa: ANN401  # an extra: its types are not checked
    """Returns the engine at `folder`, its plugins loaded before it.

    Args:
        trt: The library's module.
        folder: The artifact.
        about: Its metadata, checked.
        log: Takes what the library says.

    Raises:
        UsageError: A plugin is missing or cannot be loaded.
        StepFailed: The library does not load the plan.
    """
    load_kept(folder, about.get("plugins", {}))
    register = getattr(trt, "init_libnvinfer_plugins", None)  # TensorRT's own plugins; TensorRT-RTX has none
    if register is not None:
        register(log.logger, "")
    runtime = trt.Runtime(log.logger)
    if about.get("version_compatible"):
        runtime.engine_host_code_allowed = True  # such a plan holds the part of the library that it needs
    engine = runtime.deserialize_cuda_engine((folder / PLAN_FILE).read_bytes())
    if engine is None:
        raise StepFailed(f"{trt.__name__} cannot load the engine: {log.cause()}")
    return engine
