"""Golden requests: recorded inputs and the outputs that a server must give for them.

The file is an `.npz` that `numpy.load` opens too: the arrays are numbered, and `index` (JSON as bytes) says which
tensor of which request each one is, because tensor names may hold characters that a zip member must not.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from typing import IO, TYPE_CHECKING, Any

from optkit.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np

LIMIT = 1 << 30
"""Most bytes that a file of golden requests may unpack to."""
KINDS = "biufU"
"""Kinds of numpy dtypes that are stored: bool, integers, floats, text."""

DAMAGE = (
    *(OSError, EOFError, zipfile.BadZipFile, zlib.error, SyntaxError),
    *(RuntimeError, LookupError, TypeError, AttributeError, ValueError),
)
"""What the readers of zip, npy and JSON raise for bytes that are not what they should be."""


def write_golden(
    path: Path, requests: Sequence[Mapping[str, np.ndarray]], responses: Sequence[Mapping[str, np.ndarray]]
) -> None:
    """Records `requests` (tensor → array) and, in the same order, the `responses` to them.

    The same arrays give the same bytes. String tensors (arrays of objects) are stored as text.

    Raises:
        UsageError: A dtype that cannot be recorded, or more than `LIMIT` bytes.
    """
    import numpy as np

    arrays: dict[str, Any] = {}

    def number(tensors: Mapping[str, np.ndarray]) -> dict[str, str]:
        names = {}
        for tensor, array in tensors.items():
            names[tensor] = str(len(arrays))
            arrays[names[tensor]] = _storable(tensor, array)
        return names

    index = {"requests": [number(tensors) for tensors in requests], "responses": [number(each) for each in responses]}
    _check_size(sum(array.nbytes for array in arrays.values()), path)
    document = np.frombuffer(json.dumps(index).encode(), np.uint8)
    with path.open("wb") as file:
        np.savez(file, index=document, **arrays)


def read_golden(path: Path) -> tuple[list[dict[str, np.ndarray]], list[dict[str, np.ndarray]]]:
    """Returns the requests and the responses that `write_golden` recorded.

    Raises:
        UsageError: The file is missing, damaged, too large or holds something else.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _check_size(sum(member.file_size for member in archive.infolist()), path)
            index = json.loads(_read_array(archive, "index").tobytes())
            requests, responses = _tensors(archive, index["requests"]), _tensors(archive, index["responses"])
    except DAMAGE as error:
        raise UsageError(f"{path} holds no golden requests: {error}") from error
    if not requests or len(requests) != len(responses):
        raise UsageError(f"{path} holds {len(requests)} golden requests and {len(responses)} responses")
    return requests, responses


def _storable(tensor: str, array: np.ndarray) -> np.ndarray:
    import numpy as np

    if array.dtype.kind in "OS":
        texts = [item.decode() if isinstance(item, bytes) else str(item) for item in array.ravel()]
        array = np.array(texts, dtype=np.str_).reshape(array.shape)
    if array.dtype.kind not in KINDS:
        raise UsageError(f"tensor {tensor!r}: dtype {array.dtype} cannot be recorded in golden requests")
    return array


def _check_size(size: int, path: Path) -> None:
    if size > LIMIT:
        raise UsageError(
            f"{path}: golden requests take {size} bytes, the limit is {LIMIT}",
            hint="Lower `opt` of the dynamic dimensions.",
        )


def _tensors(archive: zipfile.ZipFile, index: list[dict[str, str]]) -> list[dict[str, np.ndarray]]:
    return [{tensor: _read_array(archive, member) for tensor, member in names.items()} for names in index]


def _read_array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """Returns a member. `numpy.load` would allocate what the header claims; here the bytes come first."""
    import numpy as np

    with archive.open(f"{name}.npy") as member:
        shape, fortran, dtype = _read_header(member)
        if dtype.kind not in KINDS:
            raise ValueError(f"an array of {dtype}")
        array = np.frombuffer(member.read(), dtype)
    return array.reshape(shape, order="F" if fortran else "C")


def _read_header(member: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    from numpy.lib import format as npy

    if npy.read_magic(member) != (1, 0):
        raise ValueError("an array in an unknown format")
    return npy.read_array_header_1_0(member)
