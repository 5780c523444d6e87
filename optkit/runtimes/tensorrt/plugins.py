"""Shared libraries with plugins: code that the user named in a recipe, and that registers itself when it is loaded."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optkit.core.artifact import digest_file
from optkit.core.copying import copy_file
from optkit.core.errors import UsageError
from optkit.core.messages import short_message

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

FOLDER = "plugins"
"""Where they lie beside an engine."""


def load_plugin(path: Path) -> None:
    """Loads a library whose plugins register themselves.

    Raises:
        UsageError: It cannot be loaded.
    """
    try:
        ctypes.CDLL(str(path), ctypes.RTLD_GLOBAL)
    except OSError as error:
        raise UsageError(f"the plugin {path.name} cannot be loaded: {short_message(error)}") from None


def keep_plugins(files: Iterable[Path], engine: Path) -> dict[str, str]:
    """Puts libraries beside the engine in the folder `engine`, which needs them to be loaded; returns name → sha256."""
    digests = {}
    for file in files:
        (engine / FOLDER).mkdir(exist_ok=True)
        copy_file(file, engine / FOLDER / file.name)
        digests[file.name] = digest_file(file)
    return digests


def load_kept(engine: Path, digests: Mapping[str, Any]) -> None:
    """Loads the libraries that `keep_plugins` put beside an engine.

    Raises:
        UsageError: One is missing, is not the one that was kept, or cannot be loaded. None of them was run then.
    """
    paths = [engine / FOLDER / Path(name).name for name in digests]
    for path, expected in zip(paths, digests.values(), strict=True):
        if not path.is_file() or digest_file(path) != expected:
            raise UsageError(
                f"the plugin {path.name} of the engine is missing or damaged", hint="build the engine again"
            )
    for path in paths:
        load_plugin(path)
