"""torch.compile: PyTorch's own compiler (TorchInductor), which makes C++ of the model when it first runs."""

from __future__ import annotations

import os
import shutil
import sysconfig
import warnings
from dataclasses import replace
from pathlib import Path

from optkit.runtimes import torch_eager


def open_session(folder: Path, threads: int) -> torch_eager.TorchSession:
    """Opens the `torch` artifact at `folder`; compiling is left to the first run, and is done again for other sizes.

    Raises:
        UsageError, StepFailed, MissingDependency: As `torch_eager.open_session` does.
    """
    import torch
    from torch._inductor import config

    config.compile_threads = 1  # a pool of processes would outlive the compilation and compute beside it
    session = torch_eager.open_session(folder, threads)
    with warnings.catch_warnings():
        # The compiler imports parts of torch that are deprecated, and says so.
        warnings.simplefilter("ignore", DeprecationWarning)
        return replace(session, module=torch.compile(session.module))


def obstacle() -> str:
    """Returns what is missing to compile here, or nothing."""
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        return f"there is no C++ compiler {compiler!r} for the code that it writes"
    headers = Path(sysconfig.get_path("include")) / "Python.h"
    return "" if headers.exists() else f"Python's headers are missing ({headers})"
