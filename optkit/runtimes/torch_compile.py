"""torch.compile: PyTorch's own compiler (TorchInductor), which makes C++ of the model when it first runs."""

from __future__ import annotations

import os
import shutil
import sysconfig
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optkit.runtimes import torch_eager
from optkit.runtimes.torch_profile import profiled

if TYPE_CHECKING:
    from optkit.runtimes.torch_eager import TorchSession
    from optkit.runtimes.torch_profile import TorchProfile


def open_session(folder: Path, threads: int) -> TorchSession:
    """Opens the `torch` artifact at `folder`; compiling is left to the first run, and is done again for other sizes.

    Raises:
        UsageError, StepFailed, MissingDependency: As `torch_eager.open_session` does.
    """
    return _compiled(folder, threads, {})


def open_profiled(folder: Path, threads: int) -> TorchProfile:
    """Opens the artifact with kernels that tell their times, and starts the profiler; raises as `open_session`."""
    return profiled(_compiled(folder, threads, {"cpp.enable_kernel_profile": True}))


def _compiled(folder: Path, threads: int, options: dict[str, Any]) -> TorchSession:
    import torch
    from torch._inductor import config

    config.compile_threads = 1  # a pool of processes would outlive the compilation and compute beside it
    session = torch_eager.open_session(folder, threads)
    with warnings.catch_warnings():
        # The compiler imports parts of torch that are deprecated, and says so.
        warnings.simplefilter("ignore", DeprecationWarning)
        return replace(session, module=torch.compile(session.module, options=options))


def obstacle() -> str:
    """Returns what is missing to compile here, or nothing."""
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        return f"there is no C++ compiler {compiler!r} for the code that it writes"
    headers = Path(sysconfig.get_path("include")) / "Python.h"
    return "" if headers.exists() else f"Python's headers are missing ({headers})"
