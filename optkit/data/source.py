"""A dataset as a source: which of the user's files a recipe's `data` entry needs, checked against their digests."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from optkit.core.artifact import digest_entries, digest_file
from optkit.core.errors import UsageError
from optkit.core.sources import Source
from optkit.core.validate import did_you_mean
from optkit.data.dataset import open_selection
from optkit.data.files import visible_files
from optkit.data.manifest import MANIFEST, FilePin, Labels, Manifest, ReaderChoice, load_manifest
from optkit.data.preprocessing import Preprocessing
from optkit.data.readers import Npz
from optkit.data.readers.npz import array_names
from optkit.data.selection import SELECTION, read, select, to_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from optkit.data.dataset import Dataset

BARE_LABELS = "labels"
BARE_SLICE = "slice."


def dataset_source(path: Path, split: str | None, samples: int | None, digest_file: Callable[[Path], str]) -> Source:
    """Returns the files and the document that a dataset artifact is made of.

    Args:
        path: A folder with a dataset.yaml, or an .npz file whose arrays are named as the model's inputs, the first
            axis being the samples; an array called `labels` holds the labels, one called `slice.NAME` the slice that
            each sample is in. A dataset artifact, such as a failed
            step leaves in its repro folder, is taken as it is.
        split: Name of a split; None takes everything.
        samples: How many samples to take; None takes all.
        digest_file: Returns the sha256 of a file in hex.

    Raises:
        UsageError: Something is missing, damaged, or not as the manifest says.
    """
    if (path / SELECTION).is_file() and not (path / MANIFEST).exists():
        kept, root = read(path), path
        manifest, split, samples = kept.manifest, split or kept.split, samples or kept.samples
    else:
        manifest, root = _manifest_and_root(path)
    selection = select(manifest, split, samples)
    files: dict[str, Path] = {}
    for name in selection.part.files:
        found = _expanded(root, name, manifest.prepare)
        _check_pin(root / name, name, found, manifest.files[name].sha256, digest_file)
        files |= found
    facts = {"split": split, "samples": samples}
    return Source("dataset", files, {SELECTION: to_bytes(selection)}, facts)


def load_dataset(path: Path, split: str | None = None, samples: int | None = None) -> Dataset:
    """Opens a dataset where it lies, as a training script does; the arguments are those of `dataset_source`.

    Raises:
        UsageError: As `dataset_source` and `open_dataset`.
        MissingDependency: As `open_dataset`.
    """
    dataset_source(path, split, samples, digest_file)
    manifest, root = _manifest_and_root(path)
    return open_selection(select(manifest, split, samples), root)


def bare_manifest(path: Path) -> Manifest:
    """Returns the manifest that an .npz file implies."""
    names = array_names(path)
    slices = {name.removeprefix(BARE_SLICE): name for name in names if name.startswith(BARE_SLICE)}
    inputs = {name: Preprocessing() for name in names if name not in {BARE_LABELS, *slices.values()}}
    if not inputs:
        raise UsageError(f"{path}: holds no arrays besides labels", hint="name its arrays as the model's inputs")
    labels = Labels(BARE_LABELS) if BARE_LABELS in names else None
    return Manifest(path.name, {path.name: FilePin()}, ReaderChoice(npz=Npz()), inputs, labels=labels, slices=slices)


def _manifest_and_root(path: Path) -> tuple[Manifest, Path]:
    if path.is_dir():
        return load_manifest(path / MANIFEST), path
    if path.suffix == ".npz" and path.is_file():
        return bare_manifest(path), path.parent
    raise UsageError(_absent(path), hint=_hint(path))


def _expanded(root: Path, name: str, prepare: str) -> dict[str, Path]:
    """Returns the files behind a name of the manifest, once they are known to be there and inside."""
    path = root / name
    if not path.exists():
        siblings = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        hint = f"`{prepare}` makes it" if prepare else did_you_mean(path.name, siblings)
        raise UsageError(f"{path}: the manifest names it, but it is missing", hint=hint)
    names = visible_files(root, name)
    if not names:
        raise UsageError(f"{path}: the folder holds no files")
    for file in names.values():
        if not file.resolve().is_relative_to(root.resolve()):
            raise UsageError(f"{file}: leads out of the dataset's folder", hint="replace the link by the file")
    return names


def _check_pin(
    path: Path, name: str, files: Mapping[str, Path], expected: str, digest_file: Callable[[Path], str]
) -> None:
    if not expected:
        return
    if path.is_file():
        actual = digest_file(path)
    else:
        inner = {str(PurePosixPath(file).relative_to(name)): digest_file(source) for file, source in files.items()}
        actual = digest_entries(inner)
    if actual != expected:
        raise UsageError(
            f"{path}: its sha256 is not the one in {MANIFEST}\n  expected {expected}\n  actual   {actual}",
            hint=f"get the file again, or write the actual sha256 into {MANIFEST} if the change is meant",
        )


def _absent(path: Path) -> str:
    if not path.exists():
        return f"{path}: there is no such dataset"
    return f"{path}: a dataset is a folder that holds {MANIFEST}, or an .npz file"


def _hint(path: Path) -> str:
    if path.name == MANIFEST:
        return f"name its folder, {path.parent}"
    siblings = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    return did_you_mean(path.name, siblings) if not path.exists() else ""
