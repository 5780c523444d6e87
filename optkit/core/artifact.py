"""Artifacts: values on disk, addressed by the digest of their bytes."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file tree in the store.

    Attributes:
        kind: What it holds: torch, program, onnx, dataset, predictions, report.
        digest: sha256 of the tree, in hex: its address in the store.
    """

    kind: str
    digest: str


def digest_bytes(data: bytes) -> str:
    """Returns the sha256 of `data` in hex."""
    return hashlib.sha256(data).hexdigest()


def digest_file(path: Path) -> str:
    """Returns the sha256 of a file in hex, read in chunks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_entries(entries: Mapping[str, str]) -> str:
    """Returns the digest of a tree given as relative POSIX path → sha256 of the file."""
    return digest_bytes(canonical_json(dict(entries)))


def digest_tree(root: Path) -> str:
    """Returns the digest of every file below `root`; names count, times, modes and empty folders do not."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return digest_entries({path.relative_to(root).as_posix(): digest_file(path) for path in files})


def canonical_json(value: object) -> bytes:
    """Returns JSON with one spelling per value: sorted keys, no spaces, UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
