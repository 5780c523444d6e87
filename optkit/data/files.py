"""The files of a dataset, as its manifest names them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def visible_files(root: Path, name: str) -> dict[str, Path]:
    """Returns relative POSIX path → file, for the file or for every file of the folder called `name` below `root`.

    Sorted by path. In a folder, hidden files and those in hidden folders are no data.
    """
    path = root / name
    if path.is_file():
        return {path.relative_to(root).as_posix(): path}
    found = {file.relative_to(path): file for file in sorted(path.rglob("*")) if file.is_file()}
    visible = {inner: file for inner, file in found.items() if not any(part.startswith(".") for part in inner.parts)}
    return {file.relative_to(root).as_posix(): file for file in visible.values()}
