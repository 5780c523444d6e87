"""`optkit verify`: starts each serving runtime on what was emitted for it and replays the recorded requests."""

from __future__ import annotations

import tempfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from optkit.core.errors import MissingDependency, UsageError, VerifyFailed
from optkit.core.events import Event, Note, StepStarted
from optkit.workflow.output import GOLDEN

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from optkit.serving.verify import Check


def verify(folder: Path) -> Generator[Event, None, dict[str, list[Check]]]:
    """Verifies every package in an output folder.

    Args:
        folder: What `optimize` wrote.

    Returns:
        Package (emitter/model) → its checks, all of them passing.

    Raises:
        UsageError: The folder is no run, holds no package, or its files are not those that were approved.
        VerifyFailed: A runtime did not start or answered otherwise than recorded; names what and by how much.
        MissingDependency: A runtime is not installed, or every package is an engine that no server here can run.
    """
    from optkit.serving.triton_entries import engines
    from optkit.serving.triton_install import NO_TENSORRT, tensorrt_server
    from optkit.serving.verify import verify as replay

    packages = list(_packages(folder))
    if not packages:
        raise UsageError(f"{folder} holds no package", hint="name a serving runtime under `package` in the recipe")
    results: dict[str, list[Check]] = {}
    with tempfile.TemporaryDirectory(prefix="optkit-verify-") as logs:
        for emitter, path in packages:
            name = PurePosixPath(path).name
            if name in engines(folder / PurePosixPath(path).parent) and not tensorrt_server():
                yield Note(f"{path}: skipped: {NO_TENSORRT}")
                continue
            yield StepStarted(path)
            log = Path(logs) / f"{emitter}-{name}.log"
            checks = replay(emitter, folder / PurePosixPath(path).parent, folder / GOLDEN / f"{name}.npz", name, log)
            _demand(path, checks)
            results[path] = checks
    if not results:
        raise MissingDependency(f"nothing was verified: {NO_TENSORRT}", hint="verify it where such a server runs")
    return results


def _packages(folder: Path) -> Iterator[tuple[str, str]]:
    from optkit.report.manifest import differences, read_manifest

    manifest = read_manifest(folder)
    changed = differences(manifest, folder)
    if changed:
        raise VerifyFailed(
            f"{folder} is not what was approved: {'; '.join(changed[:5])}", hint="run `optkit optimize` again"
        )
    for candidate in manifest.candidates:
        yield from candidate.packages.items()


def _demand(package: str, checks: list[Check]) -> None:
    wrong = [check for check in checks if not check.ok]
    if wrong:
        lines = [
            f"  {check.protocol}, request {check.request}, {check.output}: {check.problem}" for check in wrong[:10]
        ]
        raise VerifyFailed("\n".join([f"{package}: {len(wrong)} of {len(checks)} answers differ", *lines]))
