"""Looks over a model repository before a server opens it.

A Triton repository can hold code (a `model.py`, a backend library, the path of a Python environment), and a server runs
it. What optkit writes holds none, so whatever else is there is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from optkit.core.errors import UsageError, VerifyFailed
from optkit.serving.triton_engine import MODEL_FILE, PLATFORM

if TYPE_CHECKING:
    from pathlib import Path

PATTERNS = (
    "config.pbtxt",
    "labels-*.txt",
    "warmup/*",
    "[0-9]*/model.onnx",
    "[0-9]*/model.onnx.data",
    "[0-9]*/model.plan",
)
"""What an entry may hold."""


def check_entries(repository: Path) -> None:
    """Checks every entry of a repository.

    Raises:
        UsageError: There is no entry, or one holds what optkit does not write.
        VerifyFailed: A configuration is malformed; the message says where.
    """
    entries = sorted(path for path in repository.glob("*") if path.is_dir())
    if not entries:
        raise UsageError(f"{repository} holds no Triton model", hint="Give the folder that holds <model>/config.pbtxt.")
    for entry in entries:
        _check_files(entry)
        _check_config(entry / "config.pbtxt")


def engines(repository: Path) -> set[str]:
    """Returns the names of the entries that hold an engine, which only Triton's tensorrt backend can run."""
    return {path.parents[1].name for path in repository.glob(f"*/[0-9]*/{MODEL_FILE}")}


def _check_files(entry: Path) -> None:
    allowed = {path for pattern in PATTERNS for path in entry.glob(pattern)}
    for path in entry.rglob("*"):
        if path.is_symlink() or (not path.is_dir() and path not in allowed):
            raise UsageError(
                f"{path} is not part of a Triton entry that optkit writes; a server might run it",
                hint="Verify a repository as optkit emitted it.",
            )


def _check_config(path: Path) -> None:
    from google.protobuf import text_format

    from optkit.serving.triton_client import load

    config = load("grpc").model_config_pb2.ModelConfig()
    try:
        text_format.Parse(path.read_text(), config)
    except (OSError, ValueError, text_format.ParseError) as error:
        raise VerifyFailed(f"{path}: {error}") from error
    ours = (config.platform, config.backend) in {("", "onnxruntime"), (PLATFORM, "")}
    if not ours or config.runtime or "EXECUTION_ENV_PATH" in config.parameters:
        raise UsageError(
            f"{path} asks for another backend than onnxruntime or tensorrt", hint="A backend can run any code."
        )
