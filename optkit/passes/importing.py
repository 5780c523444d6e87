"""How an ONNX file of unknown origin is taken in: it must open, run, and fit what the recipe says of it."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from optkit.core.errors import StepFailed, UsageError
from optkit.core.interface import MODEL_JSON, Dim, Interface, Tensor, shape_at
from optkit.graph.clean import clean
from optkit.graph.describe import apply_interface, describe
from optkit.graph.load import load_model
from optkit.graph.save import save_model
from optkit.graph.session import open_graph
from optkit.graph.shapes import name_nodes, refresh_shapes
from optkit.graph.simplify.randomness import is_training
from optkit.graph.walk import is_standard, nodes
from optkit.measure.feeding import made_up_inputs
from optkit.passes.observed import observe_outputs, refuse_nan
from optkit.passes.onnx_step import move_artifact, open_runtime, write_model

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    import onnx_ir as ir

    from optkit.core.passes import Work
    from optkit.runtimes.session import Session

# Tried in turn for axes whose sizes nobody declared: tokens, small images, common images.
_MOST_ELEMENTS = 1 << 31
"""Numbers in one input: what made-up inputs may take of the memory."""
_GUESSES = (Dim(1, 16, 64), Dim(32, 64, 128), Dim(128, 224, 320))


def import_onnx(folder: Path, work: Work) -> None:
    """Takes in the `onnx-source` artifact at `folder`.

    Raises:
        UsageError: As `ImportOnnx.run` says.
        StepFailed: An output holds NaN.
    """
    said = json.loads((folder / MODEL_JSON).read_text())
    path = folder / said["file"]
    model = load_model(path)
    _refuse_training(model, path.name)
    clean(model)
    name_nodes(model)
    if any(value.shape is None for value in model.graph.outputs):  # some converters leave them out
        refresh_shapes(model)
    interface = _narrowed(describe(model), said, path.name)
    _refuse_huge(interface, path.name)
    work.progress(0.3, "opening the model")
    scratch = work.scratch / "imported"
    scratch.mkdir(parents=True, exist_ok=True)
    _trial(model, interface, scratch, path.name)
    work.progress(0.6, "running the model")
    session = open_runtime("onnxruntime", scratch)
    interface = _with_sizes(session, interface, set(said.get("dims") or ()))
    refuse_nan(session.run(made_up_inputs(interface, interface.sizes("opt"), seed=0)), "ONNX Runtime")
    apply_interface(model, interface)  # the file may declare sizes of outputs that are not so
    write_model(model, interface, scratch)
    move_artifact(scratch, work.out)


def _refuse_training(model: ir.Model, file: str) -> None:
    for node in nodes(model):
        if is_standard(node, "BatchNormalization", "Dropout") and is_training(node):
            raise UsageError(
                f"{file}: node {node.name or node.outputs[0].name!r} is a {node.op_type} in training mode",
                hint="call `model.eval()` before the export",
            )


def _refuse_huge(interface: Interface, file: str) -> None:
    for tensor in interface.inputs:
        size = math.prod(shape_at(tensor, interface.sizes("min")))
        if size > _MOST_ELEMENTS:
            raise UsageError(
                f"{file}: input {tensor.name} has {size} numbers at its smallest sizes, {list(tensor.shape)}",
                hint="declare smaller `dims`, or export the file again with dynamic axes",
            )


def _trial(model: ir.Model, interface: Interface, scratch: Path, file: str) -> None:
    apply_interface(model, interface)
    try:
        open_graph(save_model(model, scratch), optimize=False)
    except StepFailed as error:
        raise UsageError(
            f"{file}: {error.message}", hint="export the model again; `onnx.checker` may say more"
        ) from None


def _with_sizes(session: Session, interface: Interface, declared: set[str]) -> Interface:
    """Returns the interface with ranges that the model runs at, and its outputs' true shapes.

    Raises:
        UsageError: It runs at none of the sizes that are tried.
    """
    failure = ""
    for guess in _GUESSES:
        free = {name: guess for name in interface.dims if name not in declared and name != "batch"}
        tried = replace(interface, dims={**interface.dims, **free})
        try:
            for which in ("min", "max"):
                session.run(made_up_inputs(tried, tried.sizes(which), seed=0))
            return observe_outputs(session, tried)
        except StepFailed as error:
            failure = error.message
        if not free:
            break
    raise UsageError(
        f"the model does not run at the sizes of its dimensions: {failure}",
        hint="declare `dims` (min, opt, max) and the `range` of integer inputs under `model` in the recipe",
    )


def _narrowed(found: Interface, said: Mapping[str, Any], file: str) -> Interface:
    """Returns the graph's interface with what the recipe says of it.

    Raises:
        UsageError: An input or output that the graph does not have, or another dtype, rank or fixed size.
    """
    specs = said.get("inputs") or {}
    _check_names("input", specs, [tensor.name for tensor in found.inputs], file)
    _check_names("output", said.get("outputs") or (), [tensor.name for tensor in found.outputs], file)
    inputs = [_merged(tensor, specs.get(tensor.name), file) for tensor in found.inputs]
    renamed = {
        old: new
        for before, after in zip(found.inputs, inputs, strict=True)
        for old, new in zip(before.shape, after.shape, strict=True)
        if isinstance(old, str)
    }
    inputs = [_renamed(tensor, renamed) for tensor in inputs]
    outputs = tuple(_renamed(tensor, renamed) for tensor in found.outputs)
    names = dict.fromkeys(size for tensor in inputs for size in tensor.shape if isinstance(size, str))
    dims = {str(renamed.get(name, name)): dim for name, dim in found.dims.items()}
    given = {name: Dim(**dim) for name, dim in (said.get("dims") or {}).items()}
    unknown = sorted(set(given) - set(names))
    if unknown:
        raise UsageError(f"{file}: no input has a dimension called {unknown[0]}", hint=f"it has {', '.join(names)}")
    return Interface(tuple(inputs), outputs, {name: given.get(name) or dims.get(name) or Dim() for name in names})


def _check_names(kind: str, given: Iterable[str], found: list[str], file: str) -> None:
    for name in given:
        if name not in found:
            raise UsageError(f"{file}: the graph has no {kind} called {name!r}", hint=f"it has {', '.join(found)}")


def _merged(tensor: Tensor, spec: Mapping[str, Any] | None, file: str) -> Tensor:
    if spec is None:
        return tensor
    where = f"{file}: input {tensor.name}"
    dtype, shape = spec.get("dtype", tensor.dtype), tuple(spec.get("shape", tensor.shape))
    if dtype != tensor.dtype:
        raise UsageError(f"{where} is {tensor.dtype} in the graph, {dtype} in the recipe")
    if len(shape) != len(tensor.shape):
        raise UsageError(f"{where} has shape {list(tensor.shape)} in the graph, {list(shape)} in the recipe")
    for axis, (have, want) in enumerate(zip(tensor.shape, shape, strict=True)):
        if isinstance(have, int) and have != want:
            raise UsageError(
                f"{where}: axis {axis} is fixed at {have} in the graph, {want} in the recipe",
                hint="export the file again with that axis dynamic" if isinstance(want, str) else "",
            )
    bounds = spec.get("range")
    return Tensor(tensor.name, dtype, shape, None if bounds is None else (bounds[0], bounds[1]))


def _renamed(tensor: Tensor, names: Mapping[str, int | str]) -> Tensor:
    return replace(
        tensor, shape=tuple(names.get(size, size) if isinstance(size, str) else size for size in tensor.shape)
    )
