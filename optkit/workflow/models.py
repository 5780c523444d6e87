"""Any model that a user can name on the command line, as an artifact in the store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from optkit.core.errors import UsageError
from optkit.core.interface import MODEL_JSON
from optkit.core.keys import Environment
from optkit.core.linking import IMPORT, MODEL
from optkit.core.parse import parse_recipe
from optkit.core.recipe import ModelSpec, Step
from optkit.core.runner import Execution
from optkit.core.sources import Source
from optkit.core.store import Store
from optkit.runtimes.tensorrt.plan import PLAN_FILE
from optkit.workflow.engines import check_engine, runtime_of
from optkit.workflow.host import this_host
from optkit.workflow.sources import model_source
from optkit.workflow.tables import load_tables

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from optkit.core.events import Event


@dataclass(frozen=True, slots=True)
class OpenedModel:
    """A model artifact whose bytes are in the store.

    Attributes:
        name: What the user called it.
        kind: torch, program, onnx or engine.
        reference: The source or step that it is in the execution.
        folder: The artifact.
        runtime: What runs it.
    """

    name: str
    kind: str
    reference: str
    folder: Path
    runtime: str


def new_execution(store: Path, repro: Path) -> Execution:
    """Returns an execution without sources or steps."""
    return Execution({}, Store(store), Environment.here(this_host()), repro)


def open_model(path: Path, execution: Execution, name: str = MODEL) -> Generator[Event, None, OpenedModel]:
    """Takes a model into the store: a recipe's, an ONNX file, or an artifact folder that optkit wrote.

    Args:
        path: Where it is.
        execution: What it is added to.
        name: What to call it, in messages and in the execution; another one for each model of an execution.

    Raises:
        UsageError: It is none of these, or is broken.
    """
    source = _source(path)
    execution.sources = {**execution.sources, name: source}
    reference, kind = name, source.kind
    if kind == "onnx-source":
        step = Step(f"{IMPORT} {name}" if name != MODEL else IMPORT, load_tables().passes[IMPORT](), {MODEL: name})
        yield from execution.execute(step)
        reference, kind = step.name, "onnx"
    yield from execution.materialise(reference)
    if kind == "engine":
        check_engine(execution.path(reference))
    runtime = runtime_of(execution.path(reference), "onnxruntime" if kind == "onnx" else "torch")
    return OpenedModel(str(path) if name == MODEL else name, kind, reference, execution.path(reference), runtime)


def _source(path: Path) -> Source:
    if path.is_dir():
        return _artifact(path)
    if path.suffix == ".onnx":
        return model_source(ModelSpec(onnx=path.name), path.parent)
    if path.suffix in {".yaml", ".yml"}:
        recipe = parse_recipe(path, load_tables(), this_host())
        return model_source(recipe.model, recipe.folder)
    raise UsageError(
        f"{path}: a model is an .onnx file, a recipe.yaml, or a folder that optkit wrote",
        hint="for a PyTorch model, name its factory in a recipe",
    )


def _artifact(folder: Path) -> Source:
    kinds = {PLAN_FILE: "engine", "model.onnx": "onnx", "model.pt2": "program"}
    if not (folder / MODEL_JSON).exists():
        raise UsageError(f"{folder}: holds no {MODEL_JSON}", hint="give an .onnx file, a recipe or an artifact folder")
    kind = next((kind for name, kind in kinds.items() if (folder / name).exists()), "torch")
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return Source(kind, files)
