"""Dataset manifests: what the files are, how to read them, where the splits lie and how samples become inputs.

`dataset.yaml` beside the data:

    name: mnist-5k                        # description, license, homepage and prepare may follow; they rebuild nothing
    files: {mnist.npz: {sha256: 18dc…}}   # files or folders beside the manifest; a sha256 is checked where it is given
    reader: {npz: {}}                     # npz, images, csv or parquet, with its options
    splits:
      train: {rows: [0, 3500]}            # first row and one past the last; all rows by default
      test: {files: [more.npz]}           # all files by default, one after the other
    inputs:
      image: {column: images, scale: 0.00392156862745098, dtype: float32, shape: [1, 28, 28]}
    labels: {column: labels, classes: [zero, one]}
    slices: {writer: writers}             # gates can demand something of each writer's samples
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from optkit.core import yaml
from optkit.core.errors import UsageError
from optkit.core.validate import build, did_you_mean
from optkit.data.checks import note_mistakes
from optkit.data.preprocessing import Preprocessing  # noqa: TC001 - pydantic resolves it
from optkit.data.readers import Csv, Images, Npz, Parquet  # noqa: TC001 - likewise

if TYPE_CHECKING:
    from pathlib import Path

    from optkit.data.readers import Reader

MANIFEST = "dataset.yaml"
_STRICT: dict[str, Any] = {"extra": "forbid", "strict": True}


@dataclass(frozen=True, slots=True)
class FilePin:
    """What is known of a file or folder."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    sha256: str = ""
    """Digest in hex; of a folder, the digest of its tree. Not checked if empty."""


@dataclass(frozen=True, slots=True)
class ReaderChoice:
    """Exactly one of these."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    npz: Npz | None = None
    """NumPy archives."""
    images: Images | None = None
    """Image files."""
    csv: Csv | None = None
    """Text tables."""
    parquet: Parquet | None = None
    """Parquet tables."""

    @property
    def given(self) -> dict[str, Reader]:
        """The readers that were named, by name."""
        named = {"npz": self.npz, "images": self.images, "csv": self.csv, "parquet": self.parquet}
        return {name: reader for name, reader in named.items() if reader is not None}


@dataclass(frozen=True, slots=True)
class Split:
    """Part of a dataset."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    files: tuple[str, ...] = ()
    """Files and folders that hold it, in order; all by default."""
    rows: tuple[int, int] | None = None
    """First row and one past the last, counted over those files; all by default."""


@dataclass(frozen=True, slots=True)
class Labels:
    """Where labels are."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    column: str = "label"
    """Array or column that holds them; for images without a table, `label` is the name of an image's folder."""
    classes: tuple[str, ...] = ()
    """Names by class number; empty if labels are not classes."""
    text: bool = False
    """Labels are text; metrics see the code points of its characters."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """A dataset: its files, reader, splits, inputs and labels."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    name: str
    """Names the dataset in messages."""
    files: dict[str, FilePin]
    """Relative path of a file or folder → what is known of it."""
    reader: ReaderChoice
    """How files are read."""
    inputs: dict[str, Preprocessing]
    """Model input → how a sample becomes its value."""
    splits: dict[str, Split] = field(default_factory=dict)
    """Parts by name."""
    labels: Labels | None = None
    """Where labels are, if there are any."""
    slices: dict[str, str] = field(default_factory=dict)
    """Name that gates use → array or column whose value, a text or a whole number, says which slice a sample is in."""
    description: str = ""
    """What it is, for people."""
    license: str = ""
    """On what terms it may be used, for people."""
    homepage: str = ""
    """Where it comes from, for people."""
    prepare: str = ""
    """Command that makes the files where they are not kept with the manifest; named if one is missing."""

    def split(self, name: str | None) -> Split:
        """Returns the split called `name`, its files filled in; None means everything.

        Raises:
            UsageError: There is no such split.
        """
        if name is not None and name not in self.splits:
            hint = did_you_mean(name, self.splits) if self.splits else "it has none: leave `split` out"
            raise UsageError(f"dataset {self.name} has no split `{name}`", hint=hint)
        chosen = Split() if name is None else self.splits[name]
        return Split(chosen.files or tuple(self.files), chosen.rows)


def load_manifest(path: Path) -> Manifest:
    """Reads and checks a manifest.

    Args:
        path: The YAML file.

    Raises:
        RecipeError: It cannot be read, or holds mistakes: all of them, each with its place.
    """
    document = yaml.load(path)
    manifest = build(Manifest, document.data, document, ())
    if manifest is not None:
        note_mistakes(manifest, document)
    document.check()
    assert manifest is not None  # noqa: S101 - else a mistake was noted
    return manifest
