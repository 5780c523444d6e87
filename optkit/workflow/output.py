"""The output folder of a run: only ever ours, and never a deployable thing that was not approved."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING

from optkit.core.copying import remove_tree
from optkit.core.errors import UsageError
from optkit.report.files import disk_error, write_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

MARK = ".optkit-run"
REPORT = "report.json"
GOLDEN = "golden"
REPRO = "repro"
KITS = "build-kits"
MANIFEST = "MANIFEST.json"
PAGE = "report.html"
_OWN_FILES = (REPORT, PAGE, "summary.md", "junit.xml")


def prepare(folder: Path, emitters: Iterable[str]) -> None:
    """Makes the folder, or clears what an earlier run left in it: a failed run must not leave an older entry behind.

    Raises:
        UsageError: It cannot be written, or holds things that are not ours.
        StepFailed: The disk is full.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        names = {path.name for path in folder.iterdir()}
        if names and MARK not in names:
            raise UsageError(f"{folder} is not empty and is not an earlier run", hint="choose another folder with -o")
        clear(folder, emitters)
        (folder / MARK).write_text("optkit writes this folder anew at every run\n")
    except OSError as error:
        raise disk_error(folder, error) from None


def clear(folder: Path, emitters: Iterable[str]) -> None:
    """Removes what an earlier run left in the folder, if it is a run's: it must not be taken for what comes now."""
    if (folder / MARK).is_file():
        for name in _OWN_FILES:
            (folder / name).unlink(missing_ok=True)
        remove_tree(folder / REPRO)
        discard(folder, emitters)


def discard(folder: Path, emitters: Iterable[str]) -> None:
    """Removes everything deployable from a run's folder."""
    for name in (GOLDEN, KITS, *emitters, *(path.name for path in folder.glob(".partial-*"))):
        remove_tree(folder / name)
    (folder / MANIFEST).unlink(missing_ok=True)


@contextmanager
def appearing(target: Path) -> Iterator[Path]:
    """Gives a folder that becomes `target` in one step if all goes well, and vanishes if not.

    Raises:
        UsageError: It cannot be written.
        StepFailed: The disk is full.
    """
    draft = target.parent / f".partial-{target.name}"
    remove_tree(draft)
    try:
        draft.mkdir(parents=True)
        yield draft
        draft.rename(target)
    except OSError as error:
        raise disk_error(target, error) from None
    finally:
        remove_tree(draft)


def write_lock(recipe: Path, steps: Iterable[tuple[str, str, str]], versions: dict[str, str]) -> Path:
    """Writes `recipe.lock.json` beside the recipe: what each step's key and bytes were, and with which versions."""
    path = recipe.with_name(f"{recipe.stem}.lock.json")
    document = {
        "steps": {name: {"key": key, "digest": digest} for name, key, digest in steps},
        "versions": versions,
    }
    write_text(path, json.dumps(document, indent=1, sort_keys=True) + "\n")
    return path
