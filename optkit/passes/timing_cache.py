"""TensorRT's timing cache: what the builder measured on this GPU, kept in the store for the next build."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from optkit.core import locks
from optkit.runtimes.tensorrt.library import library_named

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from optkit.passes.build_engine import BuildEngine


@contextmanager
def timing_cache(config: Any, do: BuildEngine, trt: Any, folder: Path | None) -> Iterator[None]:  # noqa: ANN401  # an extra
    """Gives the builder the cache of its version, and keeps what it adds to it. One process at a time changes it.

    TensorRT checks for itself that a cache fits GPU and version, and starts a new one if it does not.
    """
    if folder is None or not do.timing_cache or "timing_cache" not in library_named(do.target).options:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{trt.__name__}-{trt.__version__}.timing"
    known = path.read_bytes() if path.exists() else b""
    cache = config.create_timing_cache(known)
    config.set_timing_cache(cache, ignore_mismatch=False)
    yield
    with locks.hold(path.with_suffix(".lock")):
        if path.exists():
            cache.combine(config.create_timing_cache(path.read_bytes()), ignore_mismatch=False)
        draft = path.with_suffix(".part")
        draft.write_bytes(memoryview(cache.serialize()))
        draft.replace(path)
