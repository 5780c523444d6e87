"""The document in a dataset artifact: the part of the manifest that decides the samples, and which were asked for."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from optkit.core.artifact import canonical_json
from optkit.core.errors import UsageError
from optkit.core.validate import build
from optkit.core.yaml import Document
from optkit.data.checks import RESERVED
from optkit.data.manifest import FilePin, Manifest, Split
from optkit.data.slices import BY_LABEL

if TYPE_CHECKING:
    from pathlib import Path

    from optkit.core.sources import Source

SELECTION = RESERVED


@dataclass(frozen=True, slots=True)
class Selection:
    """Samples of a dataset."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "strict": True}

    manifest: Manifest
    split: str | None
    samples: int | None

    @property
    def part(self) -> Split:
        """Files and rows of the split."""
        return self.manifest.split(self.split)

    @property
    def title(self) -> str:
        """How messages call it."""
        return f"{self.manifest.name}, split `{self.split}`" if self.split else self.manifest.name


def select(manifest: Manifest, split: str | None, samples: int | None) -> Selection:
    """Returns the selection without what cannot change a sample: prose, other splits, digests.

    Raises:
        UsageError: There is no such split, or fewer than one sample is asked for.
    """
    if samples is not None and samples < 1:
        raise UsageError(f"{manifest.name}: samples should be at least 1, not {samples}")
    part = manifest.split(split)
    narrowed = replace(
        manifest,
        files={name: FilePin() for name in part.files},
        splits={} if split is None else {split: part},
        description="",
        license="",
        homepage="",
        prepare="",
    )
    return Selection(narrowed, split, samples)


def to_bytes(selection: Selection) -> bytes:
    """Returns the selection as canonical JSON."""
    return canonical_json(asdict(selection))


def class_names_of(source: Source) -> tuple[str, ...]:
    """Returns the names of the classes of a dataset source, by class number; none if its labels are no classes."""
    labels = json.loads(source.documents[SELECTION])["manifest"]["labels"]
    return tuple(labels["classes"]) if labels else ()


def has_labels(source: Source) -> bool:
    """Whether the samples of a dataset source carry labels."""
    return json.loads(source.documents[SELECTION])["manifest"]["labels"] is not None


def slicings_of(source: Source) -> tuple[str, ...]:
    """Returns what the samples of a dataset source can be sliced by."""
    named = tuple(json.loads(source.documents[SELECTION])["manifest"]["slices"])
    return (*([BY_LABEL] if has_labels(source) else []), *named)


def read(folder: Path) -> Selection:
    """Returns the selection of the dataset artifact at `folder`.

    Raises:
        UsageError: Its document is damaged.
    """
    try:
        document = Document(SELECTION, json.loads((folder / SELECTION).read_bytes()))
    except ValueError as error:
        raise UsageError(f"{folder / SELECTION} is not valid JSON: {error}") from None
    selection = build(Selection, document.data, document, ())
    document.check()
    assert selection is not None  # noqa: S101 - else a mistake was noted
    return selection
