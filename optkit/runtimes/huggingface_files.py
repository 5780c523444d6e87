"""The files of a local Hugging Face folder that define its model, checked without importing transformers."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

from optkit.core.errors import UsageError

CONFIG = "config.json"
SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
PICKLE = "pytorch_model.bin"
_MOST_JSON = 64 << 20
"""Bytes of a JSON file that is still read: the largest indices have a few megabytes."""


def model_files(folder: Path) -> tuple[str, ...]:
    """Returns the names of the configuration and the weights in `folder`; tokenizers and the like are left out.

    Weights are safetensors, whole or in parts; without any, a `pytorch_model.bin` (read with weights_only=True).

    Raises:
        UsageError: There is no configuration or no weights, or an index names what is not a file of the folder.
    """
    read_config(folder)
    weights = _weights(folder)
    if not weights:
        held = "; its weights are not safetensors" if any(folder.glob("*.bin")) else ""
        raise UsageError(f"{folder.name} holds no {SINGLE}{held}", hint="save the model with save_pretrained")
    return (CONFIG, *weights)


def weight_files(folder: Path) -> tuple[Path, ...]:
    """Returns the weights in `folder`.

    Raises:
        UsageError: As `model_files` does.
    """
    return tuple(folder / name for name in model_files(folder) if not name.endswith(".json"))


def read_config(folder: Path) -> dict[str, Any]:
    """Returns the `config.json` of `folder`.

    Raises:
        UsageError: It is missing, no JSON, or names no `model_type`.
    """
    if not (folder / CONFIG).is_file():
        raise UsageError(
            f"{folder.name} holds no {CONFIG}", hint="give a folder that save_pretrained wrote, or that was downloaded"
        )
    config = _read_json(folder / CONFIG)
    if not isinstance(config.get("model_type"), str):
        raise UsageError(f"{CONFIG} in {folder.name} names no model_type, which says what to build")
    return config


def _weights(folder: Path) -> tuple[str, ...]:
    if (folder / INDEX).is_file():
        return (INDEX, *_parts(folder))
    return next(((name,) for name in (SINGLE, PICKLE) if (folder / name).is_file()), ())


def _parts(folder: Path) -> tuple[str, ...]:
    entries = _read_json(folder / INDEX).get("weight_map")
    if not isinstance(entries, dict) or not entries:
        raise UsageError(f"{INDEX} has no weight_map")
    names = sorted({str(name) for name in entries.values()})
    for name in names:
        if PurePosixPath(name).name != name or not name.endswith(".safetensors"):
            raise UsageError(f"{INDEX} names {name!r}, which is no safetensors file of the folder")
        if not (folder / name).is_file():
            raise UsageError(f"{INDEX} names {name}, which is missing", hint="download the folder again")
    return tuple(names)


def _read_json(path: Path) -> dict[str, Any]:
    if path.stat().st_size > _MOST_JSON:
        raise UsageError(f"{path.name} has {path.stat().st_size} bytes: too many for a description of a model")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path.name} in {path.parent.name} is no JSON: {error}") from error
    if not isinstance(document, dict):
        raise UsageError(f"{path.name} in {path.parent.name} is no JSON object")
    return document
