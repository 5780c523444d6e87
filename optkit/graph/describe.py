"""Reads the interface of a graph, and writes one onto it."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from optkit.core.errors import UsageError
from optkit.core.interface import BATCH, Dim, Interface, Tensor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import onnx_ir as ir

BATCH_NAMES = frozenset({"batch", "batch_size", "batchsize", "bs", "n", "b"})
DEFAULT_BATCH = Dim(min=1, opt=8, max=32)
DEFAULT_DIM = Dim(min=1, opt=16, max=64)


def describe(model: ir.Model) -> Interface:
    """Returns what the graph takes and returns.

    A dynamic axis keeps its name; one without a name gets `<tensor>_<axis>`. The first axis is called `batch` if all
    inputs share it, or if its name says so. Ranges are defaults.

    Raises:
        UsageError: An input or output is no tensor, is of strings, or has no known rank; an output is listed twice.
    """
    inputs = [_tensor(value) for value in _inputs(model)]
    outputs = [_tensor(value) for value in model.graph.outputs]
    listed = [tensor.name for tensor in outputs]
    twice = next((name for name in listed if listed.count(name) > 1), None)
    if twice is not None:
        raise UsageError(
            f"the output {twice} is listed twice", hint="list it once, or give one an Identity and its name"
        )
    renamed = _batch_names(inputs)
    inputs, outputs = ([_renamed(tensor, renamed) for tensor in group] for group in (inputs, outputs))
    names = dict.fromkeys(axis for tensor in inputs for axis in tensor.shape if isinstance(axis, str))
    dims = {name: DEFAULT_BATCH if name == BATCH else DEFAULT_DIM for name in names}
    return Interface(tuple(inputs), tuple(outputs), dims)


def apply_interface(model: ir.Model, interface: Interface) -> None:
    """Writes the shapes of `interface` onto the graph's inputs and outputs, renaming axes within the graph, in place.

    Tensors are matched by position; outputs also take the interface's names.
    """
    import onnx_ir as ir

    renamed: dict[str, str | int] = {}
    for value, tensor in zip(_inputs(model), interface.inputs, strict=True):
        renamed |= {
            old.value: new
            for old, new in zip(value.shape or (), tensor.shape, strict=False)
            if isinstance(old, ir.SymbolicDim) and old.value is not None and old.value != new
        }
        value.shape = ir.Shape(tensor.shape)
    _rename_axes(model, renamed)
    for value, tensor in zip(model.graph.outputs, interface.outputs, strict=True):
        value.name = tensor.name
        value.shape = ir.Shape(tensor.shape)


def check_interface(model: ir.Model, interface: Interface) -> str:
    """Returns how the graph differs from `interface` in name, dtype or rank; empty if they agree."""
    found = describe(model)
    for kind, actual, wanted in (
        ("input", found.inputs, interface.inputs),
        ("output", found.outputs, interface.outputs),
    ):
        if [tensor.name for tensor in actual] != [tensor.name for tensor in wanted]:
            return f"{kind}s are {_names(actual)}, not {_names(wanted)}"
        for a, b in zip(actual, wanted, strict=True):
            if a.dtype != b.dtype or len(a.shape) != len(b.shape):
                return f"{kind} {a.name} is {a.dtype} {list(a.shape)}, not {b.dtype} {list(b.shape)}"
            frozen = [axis for axis, (x, y) in enumerate(zip(a.shape, b.shape, strict=True)) if _lost(x, y)]
            if frozen:
                return f"{kind} {a.name}: axis {frozen[0]} ({b.shape[frozen[0]]}) became {a.shape[frozen[0]]}"
    return ""


def _lost(actual: int | str, wanted: int | str) -> bool:
    return isinstance(actual, int) and actual != wanted


def _names(tensors: Sequence[Tensor]) -> str:
    return ", ".join(tensor.name for tensor in tensors)


def _inputs(model: ir.Model) -> list[ir.Value]:
    return [value for value in model.graph.inputs if value.name not in model.graph.initializers]


def _tensor(value: ir.Value) -> Tensor:
    import onnx_ir as ir

    name = value.name or ""
    if value.type is not None and not isinstance(value.type, ir.TensorType):
        raise UsageError(f"{name} is a {type(value.type).__name__}; only plain tensors can be inputs and outputs")
    if value.dtype is None or value.dtype in {ir.DataType.STRING, ir.DataType.UNDEFINED}:
        raise UsageError(f"{name} has the type {value.dtype}; inputs and outputs must be numbers or booleans")
    if value.shape is None:
        raise UsageError(f"{name} has no declared rank", hint="run shape inference on the file, or export it again")
    shape = tuple(_axis(axis, _made_up(name, index)) for index, axis in enumerate(value.shape))
    return Tensor(name, value.dtype.numpy().name, shape)


def _axis(axis: int | ir.SymbolicDim, made_up: str) -> int | str:
    if isinstance(axis, int):
        return axis
    return axis.value or made_up


def _made_up(name: str, axis: int) -> str:
    return re.sub(r"\W", "_", f"{name}_{axis}")


def _batch_names(inputs: Sequence[Tensor]) -> dict[str, str]:
    """Returns axis name → `batch` for the names that mean the axis of samples."""
    leading = [tensor.shape[0] for tensor in inputs if tensor.shape]
    names = dict.fromkeys(name for name in leading if isinstance(name, str))
    taken = any(BATCH in tensor.shape for tensor in inputs)
    if taken or not names:
        return {}
    unnamed = leading == [_made_up(tensor.name, 0) for tensor in inputs]
    if unnamed or (len(leading) == len(inputs) and len(set(leading)) == 1):
        return dict.fromkeys(names, BATCH)
    return {name: BATCH for name in names if name.lower() in BATCH_NAMES}


def _renamed(tensor: Tensor, names: Mapping[str, str]) -> Tensor:
    return replace(
        tensor, shape=tuple(names.get(axis, axis) if isinstance(axis, str) else axis for axis in tensor.shape)
    )


def _rename_axes(model: ir.Model, names: Mapping[str, str | int]) -> None:
    import onnx_ir as ir

    for node in model.graph.all_nodes():
        for value in node.outputs:
            if value.shape is not None:
                value.shape = ir.Shape(
                    [axis if isinstance(axis, int) else names.get(axis.value or "", axis) for axis in value.shape]
                )
