"""Arrays in .npz files; the first axis is the row."""

from __future__ import annotations

import math
import zipfile
import zlib
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, ClassVar

from optkit.core.errors import UsageError
from optkit.data.readers.base import MAX_BYTES, STRICT, Column, Request, need_columns

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from optkit.data.preprocessing import Layout, Preprocessing

_SUFFIX = ".npy"
# What zipfile and numpy raise for truncated, encrypted or otherwise unreadable archives.
_DAMAGED = (ValueError, EOFError, OSError, RuntimeError, zipfile.BadZipFile, zlib.error)
_HEADER_VERSIONS = {(1, 0): "read_array_header_1_0", (2, 0): "read_array_header_2_0"}


@dataclass(frozen=True, slots=True)
class Npz:
    """Reads NumPy archives. Objects (pickles) are refused, and sizes are checked before anything is unpacked."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    default_column: ClassVar[str | None] = None
    default_layout: ClassVar[Layout | None] = None

    def read(self, request: Request) -> dict[str, Column]:
        """Returns each wanted array, those of several files joined."""
        parts = [_read(request.root / name, name, request.wanted) for name in request.files]
        return {name: _joined([part[name] for part in parts], name) for name in request.wanted}

    def decode(self, value: Any, spec: Preprocessing) -> np.ndarray:  # noqa: ANN401  # one row of an array
        """Returns the row."""
        import numpy as np

        del spec
        return np.asarray(value)


def array_names(path: Path) -> tuple[str, ...]:
    """Returns the names of the arrays in an archive, without reading them.

    Raises:
        UsageError: The file is no .npz.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return tuple(name.removesuffix(_SUFFIX) for name in archive.namelist() if name.endswith(_SUFFIX))
    except (zipfile.BadZipFile, OSError) as error:
        raise UsageError(f"{path}: no .npz archive: {error}") from None


def _read(path: Path, shown: str, wanted: tuple[str, ...]) -> dict[str, np.ndarray]:
    import numpy as np

    need_columns(wanted, array_names(path), shown)
    try:
        _check_headers(path, shown, wanted)
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in wanted}
    except _DAMAGED as error:
        raise UsageError(f"{shown}: damaged: {error}") from None


def _check_headers(path: Path, shown: str, wanted: tuple[str, ...]) -> None:
    total = 0
    with zipfile.ZipFile(path) as archive:
        for name in wanted:
            with archive.open(name + _SUFFIX) as file:
                total += _declared_bytes(file, f"{shown}: array `{name}`")
    if total > MAX_BYTES:
        raise UsageError(
            f"{shown}: unpacks to {total / 2**30:.1f} GiB; at most {MAX_BYTES >> 30} GiB are read",
            hint="keep large data as images or in several splits",
        )


def _declared_bytes(file: IO[bytes], shown: str) -> int:
    """Returns how much memory the array asks for, from its header alone."""
    import numpy as np

    reader = _HEADER_VERSIONS.get(np.lib.format.read_magic(file))
    if reader is None:
        raise UsageError(f"{shown}: unknown format version")
    shape, _, dtype = getattr(np.lib.format, reader)(file)
    if dtype.hasobject:
        raise UsageError(f"{shown}: holds Python objects, which can run code when read", hint="save numbers or text")
    if not shape or min(shape) < 0:
        raise UsageError(f"{shown}: has shape {list(shape)}; the first axis must be the samples")
    return int(math.prod(shape) * dtype.itemsize)


def _joined(arrays: list[np.ndarray], name: str) -> np.ndarray:
    import numpy as np

    shapes = {array.shape[1:] for array in arrays}
    if len(shapes) > 1:
        raise UsageError(f"array `{name}` has different shapes in different files: {sorted(shapes)}")
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
