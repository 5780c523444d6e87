"""`MANIFEST.json`: what was packaged, byte by byte, and on which verdicts, for whoever deploys it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Literal

from optkit.core.artifact import digest_file
from optkit.core.errors import UsageError
from optkit.core.gates import Verdict  # noqa: TC001  # pydantic resolves the fields at run time
from optkit.report.codec import encode, load
from optkit.report.files import write_text
from optkit.report.headline import caveats

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from optkit.core.results import CandidateResult, RunReport

NAME = "MANIFEST.json"
MANIFEST_VERSION: Literal[1] = 1


@dataclass(frozen=True, slots=True)
class PackagedFile:
    """A file of a package.

    Attributes:
        path: Below the output folder, with slashes.
        sha256: Of its bytes, in hex.
        bytes: Its size.
    """

    path: str
    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class PackagedCandidate:
    """A candidate and what was made of it.

    Attributes:
        name: The leaf's step id.
        target: What it is made for.
        digest: Its artifact.
        approved: Whether every verdict is accepted.
        accepted_without_pass: A sentence for each verdict that the recipe accepts though it did not pass.
        verdicts: All of them.
        packages: Emitter → folder below the output folder.
        files: Every file of those folders.
    """

    name: str
    target: str
    digest: str
    approved: bool
    accepted_without_pass: tuple[str, ...]
    verdicts: tuple[Verdict, ...]
    packages: dict[str, str]
    files: tuple[PackagedFile, ...]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an output folder offers for deployment."""

    version: Literal[1]
    recipe_sha256: str
    outcome: Literal["approved", "refused"]
    candidates: tuple[PackagedCandidate, ...]


def write_manifest(report: RunReport, folder: Path) -> Manifest:
    """Hashes the packages below an output folder and writes its manifest.

    Raises:
        UsageError: A package is not there, leaves the folder, holds a link, or the folder cannot be written.
        StepFailed: The disk is full or failing.
    """
    candidates = tuple(_packaged(candidate, folder) for candidate in report.candidates)
    manifest = Manifest(MANIFEST_VERSION, report.recipe_sha256, report.outcome, candidates)
    write_text(folder / NAME, encode(manifest))
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """Reads the manifest of an output folder.

    Raises:
        UsageError: It is absent, damaged, or names a path outside the folder.
    """
    if not (folder / NAME).exists():
        raise UsageError(
            f"{folder} holds no approved run: there is no {NAME}",
            hint="`optkit optimize` writes one when every gate holds",
        )
    manifest = load(Manifest, folder / NAME)
    for candidate in manifest.candidates:
        for path in (*candidate.packages.values(), *(file.path for file in candidate.files)):
            _below(folder, path)
    return manifest


def differences(manifest: Manifest, folder: Path) -> list[str]:
    """Returns what is missing, changed or extra in the packages of an output folder; empty if they are whole.

    Raises:
        UsageError: A package is not there or holds a link.
    """
    found: list[str] = []
    for candidate in manifest.candidates:
        listed = {file.path: file for file in candidate.files}
        present = {file.path: file for file in _files(folder, candidate.packages.values())}
        found += [f"{path} is missing" for path in sorted(listed.keys() - present.keys())]
        found += [f"{path} is not in the manifest" for path in sorted(present.keys() - listed.keys())]
        found += [f"{path} has changed" for path in sorted(listed) if path in present and present[path] != listed[path]]
    return found


def _packaged(candidate: CandidateResult, folder: Path) -> PackagedCandidate:
    return PackagedCandidate(
        name=candidate.name,
        target=candidate.target,
        digest=candidate.digest,
        approved=candidate.approved,
        accepted_without_pass=tuple(caveats(candidate)),
        verdicts=candidate.verdicts,
        packages=dict(candidate.packages),
        files=tuple(_files(folder, candidate.packages.values())),
    )


def _files(folder: Path, packages: Iterable[str]) -> Iterator[PackagedFile]:
    roots = [_below(folder, package) for package in packages]
    for path in sorted({path for root in roots for path in _tree(root)}):
        yield _packaged_file(path, folder)


def _packaged_file(path: Path, folder: Path) -> PackagedFile:
    try:
        return PackagedFile(path.relative_to(folder).as_posix(), digest_file(path), path.stat().st_size)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None


def _tree(root: Path) -> Iterator[Path]:
    if not root.exists():
        raise UsageError(f"the package {root} is not there", hint="run `optkit optimize` again")
    for path in (root, *root.rglob("*")):
        if path.is_symlink():
            raise UsageError(f"{path} is a link: a package holds files only", hint="run `optkit optimize` again")
        if path.is_file():
            yield path


def _below(folder: Path, path: str) -> Path:
    parts = PurePosixPath(path).parts
    if not parts or ".." in parts or path.startswith("/"):
        raise UsageError(f"{folder / NAME}: {path!r} is not a path below the output folder")
    return folder / path
