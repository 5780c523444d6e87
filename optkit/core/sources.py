"""Sources: what the user gives (models, datasets), seen as a file tree before it enters the store."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from optkit.core.artifact import digest_bytes, digest_entries

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

_FEW_FILES = 30


@dataclass(frozen=True, slots=True)
class Source:
    """A tree made of the user's files and of documents that optkit writes about them.

    Attributes:
        kind: Kind of the artifact that it becomes.
        files: Relative POSIX path in the artifact → the user's file.
        documents: Relative POSIX path in the artifact → content.
        facts: What a person would name if the source changed, such as the number of samples.
    """

    kind: str
    files: Mapping[str, Path] = field(default_factory=dict)
    documents: Mapping[str, bytes] = field(default_factory=dict)
    facts: Mapping[str, str | int | None] = field(default_factory=dict)

    def entries(self, digest_file: Callable[[Path], str]) -> dict[str, str]:
        """Returns relative path → sha256, asking `digest_file` (which may remember) for the user's files."""
        entries = {name: digest_file(path) for name, path in self.files.items()}
        return entries | {name: digest_bytes(data) for name, data in self.documents.items()}

    def digest(self, digest_file: Callable[[Path], str]) -> str:
        """Returns the digest of the tree: its address in the store."""
        return digest_entries(self.entries(digest_file))

    def about(self, digest_file: Callable[[Path], str]) -> dict[str, str | int | None]:
        """Returns the facts and, of a source with few files, the digest of each: so that a change can be named."""
        files = self.files if len(self.files) <= _FEW_FILES else {}
        return {**self.facts, **{name: digest_file(path) for name, path in files.items()}}
