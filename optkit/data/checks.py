"""What a manifest's types cannot say."""

from __future__ import annotations

import math
import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from optkit.core.validate import check_name, did_you_mean
from optkit.data.slices import BY_LABEL

if TYPE_CHECKING:
    from collections.abc import Callable

    from optkit.core.yaml import Document
    from optkit.data.manifest import Labels, Manifest, Split
    from optkit.data.preprocessing import Preprocessing

# What describes the samples in a dataset artifact.
RESERVED = "dataset.json"
_SHA256 = re.compile(r"[0-9a-f]{64}")
# These readers hand out text or Python numbers, from which no element type follows.
_UNTYPED = frozenset({"csv", "parquet"})
_IMAGES_ONLY = ("mode", "resize", "crop", "interpolation")


def is_contained(name: str) -> bool:
    """Whether a relative POSIX path stays below the folder that it is joined to (symbolic links apart)."""
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts


def note_mistakes(manifest: Manifest, document: Document) -> None:
    """Notes in `document` every mistake of a manifest whose types are right."""
    note = document.problem
    if len(manifest.reader.given) != 1:
        note(("reader",), "needs exactly one reader", "one of npz, images, csv, parquet")
    if not manifest.inputs:
        note(("inputs",), "names no input")
    _note_files(manifest, document)
    for name, split in manifest.splits.items():
        _note_split(name, split, manifest, document)
    for name, spec in manifest.inputs.items():
        _note_input(name, spec, next(iter(manifest.reader.given), ""), document)
    if manifest.labels is not None:
        _note_labels(manifest.labels, document)
    for name in manifest.slices:
        check_name(name, document, ("slices", name), key=True)
        if name == BY_LABEL:
            document.problem(("slices", name), "slices by class have this name", "give it another", key=True)


def _note_files(manifest: Manifest, document: Document) -> None:
    if not manifest.files:
        document.problem(("files",), "names no file")
    for name, pin in manifest.files.items():
        if not is_contained(name):
            document.problem(("files", name), "must stay inside the manifest's folder", "use a relative path", key=True)
        if name == RESERVED:
            document.problem(("files", name), "is the name of a file that optkit writes", "rename it", key=True)
        if pin.sha256 and not _SHA256.fullmatch(pin.sha256):
            document.problem(("files", name, "sha256"), "should be 64 hex digits in lower case")


def _note_split(name: str, split: Split, manifest: Manifest, document: Document) -> None:
    for index, file in enumerate(split.files):
        if file not in manifest.files:
            hint = did_you_mean(file, manifest.files)
            document.problem(("splits", name, "files", index), f"{file!r} is not among the files", hint)
    if split.rows is not None and not 0 <= split.rows[0] < split.rows[1]:
        start, stop = split.rows
        document.problem(("splits", name, "rows"), f"needs 0 ≤ first < last, has {start} and {stop}: no row is left")


def _note_input(name: str, spec: Preprocessing, reader: str, document: Document) -> None:
    def note(key: str, message: str, hint: str = "") -> None:
        document.problem(("inputs", name, key), message, hint)

    default = type(spec)()
    if spec.columns and (spec.column is not None or reader == "images"):
        note("columns", "does not go with images" if reader == "images" else "does not go with `column`")
    if spec.dtype is None and reader in _UNTYPED:
        note("dtype", f"is missing: {reader} files do not tell the model's type", "for example dtype: float32")
    for key in _IMAGES_ONLY:
        if reader != "images" and getattr(spec, key) != getattr(default, key):
            note(key, "goes with images only")
    _note_numbers(spec, note)


def _note_numbers(spec: Preprocessing, note: Callable[[str, str], None]) -> None:
    for key in ("resize", "crop", "shape"):
        if any(size < 1 for size in _as_tuple(getattr(spec, key))):
            note(key, "sizes are at least 1")
    for key in ("scale", "mean", "std"):
        values = _as_tuple(getattr(spec, key))
        if not all(map(math.isfinite, values)):
            note(key, "should be finite")
        if key != "mean" and 0 in values:
            note(key, "cannot be 0")


def _as_tuple(value: float | tuple[float, ...] | None) -> tuple[float, ...]:
    if value is None:
        return ()
    return value if isinstance(value, tuple) else (value,)


def _note_labels(labels: Labels, document: Document) -> None:
    if labels.text and labels.classes:
        document.problem(("labels", "text"), "labels are either text or classes", key=True)
    for index, name in enumerate(labels.classes):
        place = ("labels", "classes", index)
        if not name or not name.isprintable():
            document.problem(place, "a class name is one printable line")
        if name in labels.classes[:index]:
            document.problem(place, f"{name!r} stands twice")
