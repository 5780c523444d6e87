"""`optkit inspect`: facts about an ONNX file or artifact."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from optkit.core import interface as interfaces
from optkit.core.errors import UsageError
from optkit.core.interface import MODEL_JSON
from optkit.runtimes.tensorrt.plan import ABOUT_FILE, PLAN_FILE

if TYPE_CHECKING:
    from pathlib import Path

    from optkit.graph.inspect import Inspection
    from optkit.graph.tensorrt_rules import Refusal


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether a graph can become an engine.

    Attributes:
        target: Of which library.
        judge: Who says so: the library's parser, or optkit's rules where the library is absent.
        refusals: The nodes that keep it from that.
    """

    target: str
    judge: str
    refusals: tuple[Refusal, ...]


def inspect(path: Path) -> Inspection:
    """Returns the facts about an .onnx file, or about the model.onnx in a folder.

    Raises:
        UsageError: It is no ONNX model, or is broken.
    """
    from optkit.graph.inspect import inspect_graph
    from optkit.graph.load import load_model

    interface = interfaces.read(path) if (path / MODEL_JSON).is_file() else None
    return inspect_graph(load_model(model_file(path)), interface)


def readiness(path: Path, target: str) -> Readiness:
    """Returns what keeps an .onnx file, or the model.onnx in a folder, from becoming an engine of `target`.

    Raises:
        UsageError: It is no ONNX model, or is broken; or no engine is built for the target.
    """
    from optkit.passes.engine_check import check_graph
    from optkit.runtimes.tensorrt.library import library_named

    found, judge = check_graph(model_file(path), library_named(target))
    return Readiness(target, judge, tuple(found))


def refusal(found: Readiness) -> UsageError:
    """Returns the error that a graph with refused nodes ends a command with."""
    from optkit.passes.engine_check import advice, headline

    return UsageError(headline(found.refusals, found.target), hint=advice(found.refusals))


def model_file(path: Path) -> Path:
    """Returns the ONNX file that `path`, a file or a folder that optkit wrote, names.

    Raises:
        UsageError: The folder holds none.
    """
    file = path / "model.onnx" if path.is_dir() else path
    if file.suffix in {".yaml", ".yml"}:
        raise UsageError(
            f"{path} is a recipe, and only ONNX graphs can be inspected",
            hint=f"`optkit run export {path} -o exported`, then `optkit inspect exported`",
        )
    if (path / PLAN_FILE).is_file():
        raise UsageError(
            f"{path} is an engine, and only ONNX graphs can be inspected", hint=f"{path / ABOUT_FILE} says what it is"
        )
    if not file.is_file():
        raise UsageError(f"{path}: holds no model.onnx", hint="give an .onnx file or a folder that optkit wrote")
    return file
