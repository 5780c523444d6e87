"""The files of an `engine` artifact, and whether an engine may be loaded here."""

from __future__ import annotations

import json
import platform
import re
from typing import TYPE_CHECKING, Any

from optkit.core.artifact import digest_file
from optkit.core.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from optkit.runtimes.tensorrt.library import Library

PLAN_FILE = "engine.plan"
ABOUT_FILE = "engine.json"
KIT_FILE = "kit.json"
GRAPH_FILE = "model.onnx"
"""Beside a stripped plan only: where its weights come from."""
_AMPERE = 8
"""Major compute capability."""
REBUILD = "build it again where it is to run: an engine is bound to library, version, platform and GPU"


def this_platform() -> str:
    """Returns what a plan is bound to besides library and GPU, such as `Linux-x86_64`."""
    return f"{platform.system()}-{platform.machine()}"


def read_about(folder: Path) -> dict[str, Any]:
    """Returns the metadata of the engine at `folder`.

    Raises:
        UsageError: It is missing or no metadata of an engine.
    """
    try:
        about: dict[str, Any] = json.loads((folder / ABOUT_FILE).read_text())
        _ = about["library"], about["version"], about["platform"], about["profiles"], about["plan"]["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        raise UsageError(f"{ABOUT_FILE} is missing or damaged", hint="give a folder that build-engine wrote") from None
    return about


def write_about(folder: Path, about: dict[str, Any]) -> None:
    """Writes the metadata of an engine."""
    (folder / ABOUT_FILE).write_text(json.dumps(about, indent=1, sort_keys=True) + "\n")


def check_plan(folder: Path, library: Library, gpu: str = "", capability: str = "") -> dict[str, Any]:
    """Returns the metadata of an engine that may be loaded by `library` on this machine.

    Args:
        folder: The artifact.
        library: What shall run it.
        gpu: The GPU's name; nothing if there is none.
        capability: Its compute capability, such as `8.9`.

    Raises:
        UsageError: The plan is truncated or foreign, or was built for another library, version, platform or GPU; the
            message names both.
    """
    about = read_about(folder)
    path = folder / PLAN_FILE
    _check_bytes(path, about, library)
    later = about.get("version_compatible") and _is_later(library.version, about["version"])
    for what, built, here in (
        ("library", about["library"], library.name),
        ("version", f"{about['library']} {about['version']}", f"{library.name} {library.version}"),
        ("platform", about["platform"], this_platform()),
    ):
        if built != here and not (what == "version" and (later or library.version == "absent")):
            raise UsageError(f"the engine was built for the {what} {built}, and here is {here}", hint=REBUILD)
    if about.get("gpu") and gpu and not _fits(about, gpu, capability):
        raise UsageError(f"the engine was built for the GPU {about['gpu']}, and here is {gpu}", hint=REBUILD)
    fitting = about.get("capabilities", [])
    if fitting and capability and capability not in fitting:
        raise UsageError(
            f"the engine was built for the compute capabilities {', '.join(fitting)}, and {gpu or 'the GPU'} here has "
            f"{capability}",
            hint=REBUILD,
        )
    return about


def _is_later(here: str, built: str) -> bool:
    """Whether a version can take a plan of another one that was built to be version compatible: of the same major."""
    one, other = (tuple(map(int, re.findall(r"\d+", str(version)))) for version in (here, built))
    return one[:1] == other[:1] and one >= other


def _fits(about: dict[str, Any], gpu: str, capability: str) -> bool:
    """Whether the GPU here is one that the engine was built for, besides the one that it was built on."""
    if about.get("hardware") == "ampere+":
        return int(capability.partition(".")[0]) >= _AMPERE
    if about.get("hardware") == "same-capability":
        return bool(about["gpu"].endswith(f"(compute capability {capability})"))
    return bool(about["gpu"] == gpu)


def _check_bytes(path: Path, about: dict[str, Any], library: Library) -> None:
    if (path.parent / KIT_FILE).is_file():
        raise UsageError("this is a build kit: its engine is yet to be built", hint="see its README.md")
    if not path.is_file():
        raise UsageError(f"{PLAN_FILE} is missing", hint=REBUILD)
    with path.open("rb") as file:
        first = file.read(len(library.magic))
    if about["library"] == library.name and first != library.magic:
        raise UsageError(f"{PLAN_FILE} is no plan of {library.name}: it starts with {first!r}", hint=REBUILD)
    size = path.stat().st_size
    if size != about["plan"]["bytes"]:
        raise UsageError(f"{PLAN_FILE} is truncated: {size} of {about['plan']['bytes']} bytes", hint=REBUILD)
    if digest_file(path) != about["plan"]["sha256"]:
        raise UsageError(f"{PLAN_FILE} is damaged: it is not what {ABOUT_FILE} says", hint=REBUILD)
