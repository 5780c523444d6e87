"""The store: artifacts addressed by the digest of their bytes, and what made them.

    objects/ab/abcd…/     a read-only file tree
    actions/ab/abcd….json  a key → the artifact that it gave, its record and what the key was made of
    scratch/<key>/        progress of a step that did not finish
    tools/                what builders measured, for their next build
    tmp/<name>/           builds under way, swept when their process is gone
    locks/                one file per key under way
    files.sqlite          digests of the user's files by path, size and time

Whatever is visible is whole: trees are written under tmp/, hashed, and renamed into place.
"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optkit.core import locks
from optkit.core.artifact import Artifact, canonical_json, digest_tree
from optkit.core.copying import copy_file, remove_tree, seal
from optkit.core.digests import DigestCache
from optkit.core.errors import StepFailed, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from optkit.core.sources import Source


_DIGESTS = "files.sqlite"


def is_store(folder: Path) -> bool:
    """Returns whether `folder` is the root of a store that is in use."""
    return (folder / _DIGESTS).exists()


class DamagedObject(Exception):  # caught by the runner, which rebuilds; never shown
    """An object's bytes do not match its address any more, or it is gone."""


@dataclass(frozen=True, slots=True)
class Action:
    """What a step once made.

    Attributes:
        artifact: The result.
        step: Name of the step when it ran.
        parts: What the key was made of, for `plan --explain`.
        record: The pass's notes, seconds, peak memory.
    """

    artifact: Artifact
    step: str
    parts: Mapping[str, Any]
    record: Mapping[str, Any]


class Store:
    """A folder that several processes may share.

    Args:
        root: The folder; made if absent.

    Raises:
        UsageError: It cannot be written.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()  # passes run in a folder of their own
        try:
            for name in ("objects", "actions", "scratch", "tools", "tmp", "locks"):
                (self.root / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"the store {root} cannot be written: {error.strerror}", hint="give --store DIR") from None
        self.digests = DigestCache(self.root / _DIGESTS)

    def object_path(self, digest: str) -> Path:
        """Returns where the object of that digest lives, whether or not it is there."""
        return self.root / "objects" / digest[:2] / digest

    def has(self, artifact: Artifact) -> bool:
        """Whether the object is there; its bytes are checked when it is handed out."""
        return self.object_path(artifact.digest).is_dir()

    def get(self, artifact: Artifact) -> Path:
        """Returns the folder of an object whose bytes were just checked.

        Raises:
            DamagedObject: It is gone or its bytes changed; what is left of it was removed.
        """
        path = self.object_path(artifact.digest)
        if path.is_dir() and digest_tree(path) == artifact.digest:
            return path
        if path.exists():
            remove_tree(path)
        raise DamagedObject(artifact.digest)

    def find(self, key: str) -> Action | None:
        """Returns what a key gave, if its object is still there; a torn or foreign entry counts as absent."""
        try:
            data = json.loads(self.action_path(key).read_text())
            action = Action(Artifact(data["kind"], data["digest"]), data["step"], data["parts"], data["record"])
            return action if self.has(action.artifact) else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def actions(self) -> Iterator[tuple[str, Action]]:
        """Yields every key and its action, the newest first."""
        paths = sorted((self.root / "actions").glob("*/*.json"), key=lambda path: -_mtime(path))
        for path in paths:
            action = self.find(path.stem)
            if action is not None:
                yield path.stem, action

    def put(self, kind: str, tree: Path) -> Artifact:
        """Moves a finished tree into the store and returns its artifact. The tree must be on the store's disk."""
        artifact = Artifact(kind, digest_tree(tree))
        target = self.object_path(artifact.digest)
        with disk_errors(self.root):
            target.parent.mkdir(exist_ok=True)
            seal(tree)
            try:
                tree.rename(target)
            except OSError:
                if not target.is_dir():
                    raise
                remove_tree(tree)  # the same bytes were there first
        return artifact

    def commit(self, key: str, action: Action) -> None:
        """Remembers what a key gave; from now on the step is cached."""
        document = {
            "kind": action.artifact.kind,
            "digest": action.artifact.digest,
            "step": action.step,
            "parts": dict(action.parts),
            "record": dict(action.record),
        }
        path = self.action_path(key)
        with disk_errors(self.root), self.workspace() as folder:
            path.parent.mkdir(exist_ok=True)
            draft = folder / "action.json"
            with draft.open("wb") as file:
                file.write(canonical_json(document))
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)

    def forget(self, key: str) -> None:
        """Makes a step run again; its object stays until the store is cleaned."""
        self.action_path(key).unlink(missing_ok=True)

    def ingest(self, source: Source) -> Path:
        """Copies a source into the store (unless it is there) and returns its checked folder.

        Raises:
            UsageError: A file changed while it was read.
        """
        artifact = Artifact(source.kind, source.digest(self.digests.file))
        try:
            return self.get(artifact)
        except DamagedObject:
            with disk_errors(self.root), self.workspace() as folder:
                tree = folder / "tree"
                _lay_out(source, tree)
                if self.put(source.kind, tree) != artifact:
                    raise UsageError("a file changed while it was read", hint="run again") from None
        return self.object_path(artifact.digest)

    def lock(self, key: str) -> AbstractContextManager[None]:
        """Returns a context that holds the key's lock; it waits until no other process has it."""
        return locks.hold(self.root / "locks" / key)

    def is_locked(self, key: str) -> bool:
        """Whether another process has the key's lock at this moment."""
        return locks.taken(self.root / "locks" / key)

    def workspace(self) -> locks.Workspace:
        """Returns a context with a fresh folder on the store's disk, removed at its end."""
        return locks.Workspace(self.root / "tmp")

    @property
    def tools(self) -> Path:
        """The folder where tools keep what they measured, for good."""
        return self.root / "tools"

    def scratch(self, key: str) -> Path:
        """Returns the folder where a step keeps progress across kills."""
        path = self.root / "scratch" / key
        path.mkdir(exist_ok=True)
        return path

    def drop_scratch(self, key: str) -> None:
        """Forgets the progress of a step that has finished."""
        shutil.rmtree(self.root / "scratch" / key, ignore_errors=True)

    def sweep(self) -> None:
        """Removes what processes that are gone left under tmp/."""
        locks.sweep(self.root / "tmp")

    def action_path(self, key: str) -> Path:
        """Returns where the action of a key is remembered."""
        return self.root / "actions" / key[:2] / f"{key}.json"


@contextmanager
def disk_errors(root: Path) -> Iterator[None]:
    """Turns what a full or failing disk raises into an error for a person."""
    try:
        yield
    except OSError as error:
        free = shutil.disk_usage(root).free
        raise StepFailed(
            f"the store {root} could not be written: {error.strerror} ({free >> 20} MiB free)",
            hint="free some space (`optkit cache gc`) or give --store DIR",
        ) from error


def _lay_out(source: Source, tree: Path) -> None:
    for name, path in source.files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        copy_file(path, tree / name)
    for name, data in source.documents.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(data)


def _mtime(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
