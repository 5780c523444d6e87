"""What a recipe names on the user's disk, as sources that the store can take in."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optkit.core.artifact import canonical_json
from optkit.core.errors import UsageError
from optkit.core.interface import MODEL_JSON, Interface, Tensor, assumed_shape, to_json
from optkit.core.keys import installed_version
from optkit.core.linking import DATA, FILES, MODEL
from optkit.core.sources import Source
from optkit.core.store import is_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from optkit.core.recipe import ModelSpec, Recipe

_SKIPPED_FOLDERS = frozenset({"__pycache__", "node_modules", "site-packages"})


def recipe_sources(recipe: Recipe, digest_file: Callable[[Path], str]) -> dict[str, Source]:
    """Returns every source of a recipe: `model`, one `data.<name>` per part of its data, `files.<step>` of some steps.

    Raises:
        UsageError: A file is missing or is not what its manifest says.
    """
    from optkit.data.source import dataset_source

    sources = {MODEL: model_source(recipe.model, recipe.folder)}
    for name, spec in recipe.data.items():
        path = recipe.folder / spec.dataset
        sources[DATA + name] = dataset_source(path, spec.split, spec.samples, digest_file)
    for step in recipe.steps:
        if FILES in step.inputs:
            named = {name: recipe.folder / name for name in step.do.files()}
            sources[step.inputs[FILES]] = Source(FILES, named)
    return sources


def model_source(model: ModelSpec, folder: Path) -> Source:
    """Returns the model that a recipe in `folder` names."""
    if model.onnx is not None:
        return _onnx_source(model, folder)
    if model.huggingface is not None:
        return _huggingface_source(model, folder / model.huggingface)
    document: dict[str, Any] = {"interface": to_json(declared_interface(model))}
    files: dict[str, Path] = {}
    kind = "program"
    if model.program is not None:
        files["model.pt2"] = folder / model.program
    elif model.factory is not None:
        kind = "torch"
        root, code = _code(model, folder)
        files |= {f"code/{path.relative_to(root).as_posix()}": path for path in code}
        file, _, function = model.factory.rpartition(":")
        factory = (folder / file).resolve().relative_to(root).as_posix()
        document |= {"factory": f"{factory}:{function}", "arguments": model.arguments, "weights": None}
    if model.weights is not None:
        name = f"weights/{Path(model.weights).name}"  # the user's own name, which messages call it by
        files[name] = folder / model.weights
        document["weights"] = name
    return Source(kind, files, {MODEL_JSON: canonical_json(document)})


def declared_interface(model: ModelSpec) -> Interface:
    """Returns the interface as far as the recipe declares it; outputs may lack dtype and shape."""
    inputs = [Tensor(name, spec.dtype, spec.shape, spec.range) for name, spec in model.inputs.items()]
    shapes = model.outputs if isinstance(model.outputs, dict) else dict.fromkeys(model.outputs, assumed_shape(inputs))
    outputs = [Tensor(name, "unknown", tuple(shape)) for name, shape in shapes.items()]
    return Interface(tuple(inputs), tuple(outputs), model.dims)


def _onnx_source(model: ModelSpec, folder: Path) -> Source:
    from optkit.graph.load import external_files

    path = folder / str(model.onnx)
    files = {f"source/{path.name}": path}
    files |= {f"source/{name}": path.parent / name for name in external_files(path)}
    document = {
        "file": f"source/{path.name}",
        "inputs": {name: asdict(spec) for name, spec in model.inputs.items()},
        "outputs": list(model.outputs),
        "dims": {name: asdict(dim) for name, dim in model.dims.items()},
    }
    return Source("onnx-source", files, {MODEL_JSON: canonical_json(document)})


def _huggingface_source(model: ModelSpec, folder: Path) -> Source:
    from optkit.runtimes.huggingface import PACKAGE
    from optkit.runtimes.huggingface_files import model_files
    from optkit.runtimes.torch_model import HUGGINGFACE

    document = {
        "interface": to_json(declared_interface(model)),
        HUGGINGFACE: HUGGINGFACE,
        "task": model.task,
        "built with": f"{PACKAGE} {installed_version(PACKAGE)}",  # it is the model's code, and so a part of the model
    }
    files = {f"{HUGGINGFACE}/{name}": folder / name for name in model_files(folder)}
    return Source("torch", files, {MODEL_JSON: canonical_json(document)})


def _code(model: ModelSpec, folder: Path) -> tuple[Path, list[Path]]:
    """Returns the folder that all code lies in, and the code files."""
    named = [folder / entry for entry in model.code] if model.code is not None else [folder]
    only_python = model.code is None
    files = {file.resolve() for entry in named for file in _files(entry, only_python=only_python)}
    files.add((folder / str(model.factory).rpartition(":")[0]).resolve())
    root = Path(os.path.commonpath([folder.resolve(), *(file.parent for file in files)]))
    return root, sorted(files)


def _files(entry: Path, *, only_python: bool) -> Iterator[Path]:
    if entry.is_file():
        yield entry
        return
    if not entry.is_dir():
        raise UsageError(f"{entry}: no such file or folder", hint="see model.code in the recipe")
    for path, folders, names in os.walk(entry):
        folders[:] = sorted(name for name in folders if not _skipped(Path(path) / name))
        for name in sorted(names):
            if not name.startswith(".") and (name.endswith(".py") or not only_python):
                yield Path(path) / name


def _skipped(folder: Path) -> bool:
    """Whether a folder holds no code of the user's: hidden, caches, environments, stores, output of an earlier run."""
    hidden = folder.name.startswith(".") or folder.name in _SKIPPED_FOLDERS
    return hidden or is_store(folder) or any((folder / name).exists() for name in ("pyvenv.cfg", "report.json"))
