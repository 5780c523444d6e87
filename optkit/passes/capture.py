"""Ways to capture a PyTorch model as an ONNX graph, tried in turn until one is right."""

from __future__ import annotations

import contextlib
import inspect
import io
import logging
import re
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from optkit.core.errors import StepFailed
from optkit.graph.clean import source_line
from optkit.graph.load import load_model
from optkit.graph.save import MODEL_FILE
from optkit.measure.feeding import made_up_inputs
from optkit.runtimes.torch_model import call_arguments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    import onnx_ir as ir
    from torch import Tensor, nn
    from torch.export import ExportedProgram
    from torch.onnx import ONNXProgram

    from optkit.core.interface import Interface


class Unfit(Exception):
    """This way of capturing does not give a right graph; another may."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is captured.

    Attributes:
        module: In eval mode.
        interface: What it takes; its dynamic dimensions must stay dynamic.
        code: Folder of the user's code, to name lines in it.
        opset: Operator set, or None for the exporter's default.
    """

    module: nn.Module
    interface: Interface
    code: Path
    opset: int | None = None
    inputs: Mapping[str, Tensor] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", example_inputs(self.interface))


def example_inputs(interface: Interface) -> dict[str, Tensor]:
    """Returns inputs at sizes that no exporter mistakes for a constant or for one another.

    Each dynamic dimension gets a size of its own, at least 2 where its range allows, and no tensor is shared.
    """
    import torch

    taken = {size for tensor in interface.inputs for size in tensor.shape if isinstance(size, int)} | {0, 1}
    sizes: dict[str, int] = {}
    for name, dim in interface.dims.items():
        wanted = [dim.opt, *range(max(dim.min, 2), min(dim.max, dim.min + 256) + 1)]
        sizes[name] = next((size for size in wanted if size not in taken), max(dim.opt, dim.min))
        taken.add(sizes[name])
    return {name: torch.from_numpy(array) for name, array in made_up_inputs(interface, sizes, seed=0).items()}


def capture_named(job: Job, _scratch: Path) -> ir.Model:
    """Captures with a named, bounded symbol per dynamic dimension."""
    return _capture(job, named_symbols(job))


def capture_auto(job: Job, _scratch: Path) -> ir.Model:
    """Captures with symbols that the exporter finds itself: relations between dimensions are allowed."""
    from torch.export import Dim

    return _capture(job, dict.fromkeys(job.interface.dims, Dim.AUTO))


def capture_traced(job: Job, scratch: Path) -> ir.Model:
    """Captures by tracing one run. Recurrent layers become one operator this way, not a loop.

    Raises:
        Unfit: Python code of the user branches on a tensor or a size, which a trace would freeze.
    """
    import torch

    path = scratch / MODEL_FILE
    args, kwargs = call_arguments(job.module, dict(job.inputs))
    names = _in_order(job.module, kwargs) if kwargs else list(job.inputs)
    axes = {
        tensor.name: {axis: size for axis, size in enumerate(tensor.shape) if isinstance(size, str)}
        for tensor in job.interface.inputs
    }
    with quiet(job.code) as caught, torch.no_grad():
        torch.onnx.export(
            job.module, args, path, kwargs=kwargs, dynamo=False, input_names=names, dynamic_axes=axes,
            opset_version=job.opset,
        )  # fmt: skip
    _refuse_frozen(caught, job.code)
    return load_model(path)


def capture_program(program: ExportedProgram, interface: Interface, opset: int | None, code: Path) -> ir.Model:
    """Converts a program that somebody else exported."""
    import torch

    with quiet(code):
        result = torch.onnx.export(program, dynamo=True, opset_version=opset, verbose=False)
    return _bounded(result, program, interface)


PROGRAM = "the exported program"
STRATEGIES: Mapping[str, Callable[[Job, Path], ir.Model]] = {
    "named dimensions": capture_named,
    "automatic dimensions": capture_auto,
    "tracing": capture_traced,
}


def strategies(model: object) -> list[str]:
    """Returns the names of `STRATEGIES` in the order to try for a module; a program is an export already."""
    import torch

    if not isinstance(model, torch.nn.Module):
        return [PROGRAM]
    names = list(STRATEGIES)
    has_recurrence = any(isinstance(part, torch.nn.RNNBase) for part in model.modules())
    return [names[-1], *names[:-1]] if has_recurrence else names


def named_symbols(job: Job) -> dict[str, Any]:
    """Returns dynamic dimension → a symbol of its name and range."""
    from torch.export import Dim

    # A range of one size would be specialised away.
    return {
        name: Dim(re.sub(r"\W", "_", name), min=dim.min, max=max(dim.max, dim.min + 1))
        for name, dim in job.interface.dims.items()
    }


def call_shapes(job: Job, symbols: Mapping[str, Any]) -> dict[str, Any] | tuple[Any, ...]:
    """Returns which axes of which input are dynamic, arranged as the inputs are when the module is called."""
    shapes = {
        tensor.name: {axis: symbols[size] for axis, size in enumerate(tensor.shape) if isinstance(size, str)}
        for tensor in job.interface.inputs
    }
    _, kwargs = call_arguments(job.module, dict(job.inputs))
    return shapes if kwargs else _by_position(job.module, list(shapes.values()))


def _capture(job: Job, symbols: Mapping[str, Any]) -> ir.Model:
    import torch

    args, kwargs = call_arguments(job.module, dict(job.inputs))
    with quiet(job.code), torch.no_grad():
        result = torch.onnx.export(
            job.module, args, kwargs=kwargs, dynamo=True, verbose=False, opset_version=job.opset,
            dynamic_shapes=call_shapes(job, symbols),
        )  # fmt: skip
    return _bounded(result, None if result is None else result.exported_program, job.interface)


def _by_position(module: nn.Module, shapes: list[Any]) -> tuple[Any, ...]:
    """Returns the shapes as `forward` takes them: what goes into its `*args` is a tuple of its own."""
    parameters = list(inspect.signature(module.forward).parameters.values())
    variadic = [index for index, each in enumerate(parameters) if each.kind is inspect.Parameter.VAR_POSITIONAL]
    if not variadic or variadic[0] >= len(shapes):
        return tuple(shapes)
    return (*shapes[: variadic[0]], tuple(shapes[variadic[0] :]))


def _bounded(result: ONNXProgram | None, program: ExportedProgram | None, interface: Interface) -> ir.Model:
    """Returns the graph if it holds for every size in the interface: guards may have narrowed it silently.

    Raises:
        Unfit: Names the dimension and what is left of its range.
    """
    if result is None or program is None:
        raise Unfit("the exporter returned nothing")
    names = set(program.graph_signature.user_inputs)
    nodes = [node for node in program.graph.nodes if node.op == "placeholder" and node.name in names]
    by_name = {tensor.name: tensor for tensor in interface.inputs}
    for position, node in enumerate(nodes):
        tensor = by_name.get(node.name) or interface.inputs[min(position, len(interface.inputs) - 1)]
        for size, axis in zip(tensor.shape, getattr(node.meta.get("val"), "shape", ()), strict=False):
            if isinstance(size, str):
                _check_axis(tensor.name, size, axis, program, interface)
    return result.model


def _check_axis(tensor: str, name: str, axis: Any, program: ExportedProgram, interface: Interface) -> None:  # noqa: ANN401  # int or torch.SymInt
    if isinstance(axis, int):
        raise Unfit(f"input {tensor}: {name} became fixed at {axis}")
    bounds = program.range_constraints.get(axis.node.expr)
    dim = interface.dims[name]
    if bounds is None:
        return
    if bounds.lower > dim.min or bounds.upper < dim.max:
        raise Unfit(
            f"input {tensor}: the model branches on {name}, and the graph would be right for "
            f"{name}={bounds.lower} to {bounds.upper} only (wanted: {dim.min} to {dim.max})"
        )


@contextlib.contextmanager
def quiet(code: Path) -> Iterator[list[warnings.WarningMessage]]:
    """Keeps the exporters' chatter off the terminal, and turns their errors into `Unfit` or `StepFailed`."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with (
            warnings.catch_warnings(record=True) as caught,
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("always")
            yield caught
    except Exception as error:
        raise _explained(error, code) from error
    finally:
        logging.disable(disabled)


def _explained(error: Exception, code: Path) -> Exception:
    chain = list(_chain(error))
    root, line = chain[-1], next(filter(None, (_line_of(cause, code) for cause in reversed(chain))), None)
    where = f"{line}: " if line else ""
    kinds = {type(cause).__name__ for cause in chain}
    if kinds & {"GuardOnDataDependentSymNode", "UserError"} and "data-dependent" in str(root):
        return StepFailed(
            f"{where}the model's control flow depends on the values of a tensor, which a graph cannot hold",
            hint="use torch.where, or torch.cond, at that line",
        )
    return Unfit(f"{where}{type(root).__name__}: {_first_sentence(root)}")


def _chain(error: BaseException) -> Iterator[BaseException]:
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.__cause__


def _line_of(error: BaseException, code: Path) -> str | None:
    import traceback

    trace = "".join(traceback.format_tb(error.__traceback__))
    return source_line(str(error), code) or source_line(trace, code)


def _first_sentence(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return re.sub(r"\x1b\[\d+m", "", lines[0])[:300] if lines else "no message"


def _in_order(module: nn.Module, given: Mapping[str, object]) -> list[str]:
    """Returns the names in the order of the signature, which is the one that a trace numbers its inputs in."""
    return [name for name in inspect.signature(module.forward).parameters if name in given]


def _refuse_frozen(caught: list[warnings.WarningMessage], code: Path) -> None:
    for warning in caught:
        line = source_line(f'File "{warning.filename}", line {warning.lineno}', code)
        if line and warning.category.__name__ == "TracerWarning":
            raise Unfit(f"{line}: Python decides on a tensor or a size there, and a trace would freeze the decision")
