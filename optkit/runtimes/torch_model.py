"""From a model artifact to a live PyTorch module, and how that module is called."""

from __future__ import annotations

import inspect
import json
import logging
import zipfile
from typing import TYPE_CHECKING, Any, TypeVar, cast

from optkit.core.errors import StepFailed, UsageError
from optkit.core.interface import MODEL_JSON, from_json
from optkit.runtimes.user_code import CODE, blame, import_file
from optkit.runtimes.weights import load_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor, nn
    from torch.export import ExportedProgram

PROGRAM_FILE = "model.pt2"
HUGGINGFACE = "huggingface"
"""In `model.json`: the folder, within the artifact, that the model is built from instead of a factory."""
T = TypeVar("T")


def load_module(folder: Path) -> nn.Module:
    """Builds the module of the `torch` artifact at `folder`, in eval mode, with its weights loaded strictly.

    Without weights the factory's own initialisation is used, seeded with 0. What `torch.compile` and `DataParallel`
    wrap is unwrapped.

    Raises:
        UsageError: The factory does not exist, or the weights do not fit or cannot be trusted.
        StepFailed: The user's code raises (the message names its line), or does not return a module.
        MissingDependency: The user's code imports what is not installed.
    """
    import torch

    document = json.loads((folder / MODEL_JSON).read_text())
    torch.manual_seed(0)
    module = _from_huggingface(folder, document) if HUGGINGFACE in document else _from_factory(folder, document)
    return _for_inference(_unwrapped(module))


def code_folder(folder: Path) -> Path:
    """Returns the folder of the code that computes the model of the artifact at `folder`: the one to name lines in."""
    if HUGGINGFACE not in json.loads((folder / MODEL_JSON).read_text()):
        return (folder / CODE).resolve()
    from optkit.runtimes import huggingface

    return huggingface.code_folder()


def _from_huggingface(folder: Path, document: dict[str, Any]) -> nn.Module:
    from optkit.runtimes import huggingface

    return huggingface.load(folder / document[HUGGINGFACE], document["task"], from_json(document["interface"]))


def _from_factory(folder: Path, document: dict[str, Any]) -> nn.Module:
    import torch

    code = (folder / CODE).resolve()
    factory = _factory(code, document["factory"])
    with blame(code, f"calling {document['factory']}"):
        module = factory(**document["arguments"])
    if not isinstance(module, torch.nn.Module):
        raise StepFailed(f"{document['factory']} returned {type(module).__name__}, not a torch.nn.Module")
    if document["weights"] is not None:
        load_weights(module, folder / document["weights"])
    return module


def _for_inference(module: nn.Module) -> nn.Module:
    """Puts every part into eval mode, even one whose own `train` or `eval` would leave it in training mode."""
    module.eval()
    for part in module.modules():
        part.training = False
    return module


def _unwrapped(module: nn.Module) -> nn.Module:
    """Returns the module inside what only speeds up or spreads its calls: exporters cannot look through that."""
    import torch

    while True:
        if isinstance(module, torch.nn.DataParallel | torch.nn.parallel.DistributedDataParallel):
            module = module.module
        elif type(module).__name__ == "OptimizedModule":  # of torch.compile, which takes a second to import
            module = cast("nn.Module", module._orig_mod)  # noqa: SLF001  # nothing public leads to it
        else:
            return module


def load_program(folder: Path) -> ExportedProgram:
    """Loads the `program` artifact at `folder`. Its loader unpickles: only a recipe that trusts it gets here.

    Raises:
        UsageError: The file is missing or damaged.
    """
    import torch

    path = folder / PROGRAM_FILE
    if not zipfile.is_zipfile(path):
        raise UsageError(f"{PROGRAM_FILE} is missing, truncated or no exported program")
    logger = logging.getLogger("torch.export")
    level = logger.level
    logger.setLevel(logging.CRITICAL)  # it logs the stack of an error before it raises it
    try:
        return torch.export.load(path)
    except Exception as error:
        raise UsageError(
            f"{PROGRAM_FILE} cannot be loaded: {type(error).__name__}: {error}",
            hint="export it again with the torch that is installed here",
        ) from error
    finally:
        logger.setLevel(level)


def call_arguments(module: nn.Module, inputs: Mapping[str, T]) -> tuple[tuple[T, ...], dict[str, T]]:
    """Returns (args, kwargs) to call `module` with, from inputs in the order of the interface.

    They go by keyword if `forward` has a parameter for each name (models with many optional inputs need that),
    else by position.
    """
    parameters = inspect.signature(module.forward).parameters.values()
    named = {parameter.name for parameter in parameters if parameter.kind in _KEYWORD_KINDS}
    return ((), dict(inputs)) if named.issuperset(inputs) else (tuple(inputs.values()), {})


def program_arguments(program: ExportedProgram, inputs: Mapping[str, T]) -> tuple[tuple[T, ...], dict[str, T]]:
    """Returns (args, kwargs) as the program was exported: what it took by keyword goes by keyword, by name.

    Raises:
        UsageError: It takes a keyword that the interface does not name.
    """
    keywords = list(program.call_spec.in_spec.child(1).context)
    absent = [name for name in keywords if name not in inputs]
    if absent:
        raise UsageError(f"the exported program takes {', '.join(absent)} by keyword; name the inputs so")
    positional = tuple(value for name, value in inputs.items() if name not in keywords)
    return positional, {name: inputs[name] for name in keywords}


def named_outputs(output: object, names: Sequence[str]) -> dict[str, Tensor]:
    """Returns the tensors in `output` (nested tuples, lists, dicts; None dropped) by the names of the interface.

    Without names they are called `output_0`, `output_1`, ….

    Raises:
        StepFailed: There are more or fewer tensors than names, or something else than tensors.
    """
    tensors = _flatten(output)
    names = names or [f"output_{index}" for index in range(len(tensors))]
    if len(names) != len(tensors):
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in tensors)
        raise StepFailed(
            f"the model returned {len(tensors)} tensors ({shapes}), the interface names {len(names)}: "
            f"{', '.join(names)}",
            hint="list every output, in the order in which the model returns them",
        )
    return dict(zip(names, tensors, strict=True))


_KEYWORD_KINDS = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def _factory(code: Path, spec: str) -> Callable[..., Any]:
    relative, _, attribute = spec.partition(":")
    path = (code / relative).resolve()
    if not path.is_relative_to(code) or not path.is_file():
        raise UsageError(f"factory file {relative} does not exist")
    factory = getattr(import_file(code, relative), attribute, None)
    if not callable(factory):
        raise UsageError(f"{relative} has no function or class '{attribute}'")
    return factory  # type: ignore[no-any-return]  # callable() only narrows to object


def _flatten(output: object) -> list[Tensor]:
    import torch

    if isinstance(output, torch.Tensor):
        return [output]
    if output is None:
        return []
    if isinstance(output, dict):
        return [tensor for value in output.values() for tensor in _flatten(value)]
    if isinstance(output, (tuple, list)):
        return [tensor for value in output for tensor in _flatten(value)]
    raise StepFailed(f"the model returned a {type(output).__name__} among its outputs; only tensors can be exported")
