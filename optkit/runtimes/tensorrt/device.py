"""Whether a library can run engines on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optkit.core.errors import MissingDependency
from optkit.runtimes.cuda import find_gpu

if TYPE_CHECKING:
    from optkit.runtimes.tensorrt.library import Library


def no_device(library: Library) -> str:
    """Returns why no engine of `library`, which is installed, can be loaded here; nothing if one can."""
    gpu = find_gpu()
    if gpu is None:
        return f"running an engine of {library.name} needs an NVIDIA GPU and its driver, and there is none"
    if library.capabilities and gpu.capability not in library.capabilities:
        return f"{library.name} {library.version} does not run on {gpu}: it knows {', '.join(library.capabilities)}"
    return ""


def why_not(library: Library) -> str:
    """Returns what is missing to run engines of `library` here; nothing if nothing is."""
    if library.version == "absent":
        return f"{library.name} is not installed"
    if missing := no_device(library):
        return missing
    return "" if _torch_has_cuda() else "the installed torch is built without CUDA, which holds an engine's buffers"


def check_device(library: Library) -> None:
    """Refuses a machine that cannot run engines of `library`.

    Raises:
        MissingDependency: Says what is missing.
    """
    missing = why_not(library)
    if missing:
        raise MissingDependency(missing, hint="run it where the GPU is that it was built for")


def _torch_has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()
