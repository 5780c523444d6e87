"""How the `quantize-inc` pass works: capture, observe, convert with weights folded, export.

Neural Compressor's own `convert` drops `fold_quantize` and leaves weights in float32, hence torchao's.
"""

from __future__ import annotations

from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from optkit.core import interface as interfaces
from optkit.core.errors import MissingDependency, StepFailed, UsageError
from optkit.core.linking import ORIGINAL
from optkit.core.validate import did_you_mean
from optkit.graph.ends import set_ends
from optkit.graph.save import MODEL_FILE
from optkit.graph.shapes import refresh_shapes
from optkit.passes.calibration import calibration_feeds
from optkit.passes.capture import Job, Unfit, call_shapes, capture_program, named_symbols, quiet
from optkit.passes.onnx_step import move_artifact, write_model
from optkit.passes.quality import layer_quality, output_quality
from optkit.quant.int8_nodes import count_int8
from optkit.runtimes.torch_model import call_arguments, code_folder, load_module

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import onnx_ir as ir
    from torch import nn
    from torch.export import ExportedProgram
    from torch.fx import GraphModule

    from optkit.core.interface import Interface
    from optkit.core.passes import Work
    from optkit.passes.quantize_inc import QuantizeInc

OBSERVERS = "activation_post_process"


def quantize(do: QuantizeInc, inputs: Mapping[str, Path], work: Work) -> None:
    """Does what `QuantizeInc.run` promises, with the options of `do`."""
    if not (do.target or "").startswith("onnxruntime"):
        raise UsageError(
            f"quantize-inc makes asymmetric uint8 activations, which {do.target} does not take",
            hint="use the `quantize` pass",
        )
    _need_library()
    interface = interfaces.read(inputs["model"])
    module = load_module(inputs[ORIGINAL])
    _check_kept(do.keep, module)
    job = Job(module, interface, code_folder(inputs[ORIGINAL]))
    work.progress(0.1, "capturing")
    prepared = _prepared(do, job)
    for feed, fraction in calibration_feeds(inputs["calibration"], interface):
        _observe(prepared, module, feed)
        work.progress(0.2 + 0.5 * fraction, "calibrating")
    work.progress(0.7, "exporting")
    out = work.scratch / "quantized"
    write_model(_exported(prepared, job), interface, out)
    _note_int8(out, work)
    work.notes["quality"] = output_quality(inputs, out, interface, "int8")
    work.notes["layers"] = layer_quality(inputs, out, interface, work.scratch / "layers")
    move_artifact(out, work.out)


def _need_library() -> None:
    absent = [name for name in ("neural_compressor", "torchao") if find_spec(name) is None]
    if absent:
        raise MissingDependency(
            f"Neural Compressor is not installed: this step needs {' and '.join(absent)}",
            hint="pip install 'optkit[inc]'",
        )


def _check_kept(keep: tuple[str, ...], module: nn.Module) -> None:
    names = dict(module.named_modules())
    for name in keep:
        if name not in names:
            raise UsageError(
                f"keep names the module {name!r}, which the model does not have", hint=did_you_mean(name, names)
            )


def _prepared(do: QuantizeInc, job: Job) -> GraphModule:
    """Returns the captured model with observers.

    Raises:
        StepFailed: It cannot be captured, or nothing in it would be quantized.
    """
    granularity = "per_channel" if do.per_channel else "per_tensor"
    with _hushed(job):
        from neural_compressor.torch.quantization import StaticQuantConfig, prepare

        config = StaticQuantConfig(act_algo=do.ranges, w_granularity=granularity)
        for name in do.keep:
            config.set_local(name, StaticQuantConfig(w_dtype="fp32", act_dtype="fp32"))
        captured: Any = _program(job.module, job).module()
        captured._exported = True  # noqa: SLF001  # these two are how Neural Compressor knows a graph that it may observe
        captured.dynamic_shapes = None
        prepared: GraphModule = prepare(captured, config)
    if not any(OBSERVERS in name for name, _ in prepared.named_modules()):
        raise StepFailed("nothing to quantize: Neural Compressor placed no observer", hint="leave this step out")
    return prepared


def _program(module: nn.Module, job: Job) -> ExportedProgram:
    """Captures `module`, which takes what the module of `job` takes."""
    import torch

    args, kwargs = call_arguments(job.module, dict(job.inputs))
    with torch.no_grad():
        return torch.export.export(
            module, args, kwargs, dynamic_shapes=call_shapes(job, named_symbols(job)), strict=False
        )


def _observe(prepared: GraphModule, module: nn.Module, feed: Mapping[str, Any]) -> None:
    import torch

    args, kwargs = call_arguments(module, {name: torch.from_numpy(array) for name, array in feed.items()})
    with torch.no_grad():
        prepared(*args, **kwargs)


def _exported(prepared: GraphModule, job: Job) -> ir.Model:
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e

    with _hushed(job):
        program = _program(convert_pt2e(prepared, fold_quantize=True), job)
        model = capture_program(program, job.interface, None, job.code)
    conflict = set_ends(model, *_names(job.interface))
    if conflict:
        raise StepFailed(f"the quantized graph does not fit the model: {conflict}")
    refresh_shapes(model)
    return model


def _names(interface: Interface) -> tuple[list[str], list[str]]:
    return [tensor.name for tensor in interface.inputs], [tensor.name for tensor in interface.outputs]


def _note_int8(out: Path, work: Work) -> None:
    counts = count_int8(out / MODEL_FILE, work.scratch)
    work.notes["int8_nodes"] = {op: list(count) for op, count in counts.items()}
    if not any(int8 for int8, _ in counts.values()):
        raise StepFailed("no node runs in int8", hint="leave this step out, or use the `quantize` pass")


@contextmanager
def _hushed(job: Job) -> Iterator[None]:
    """Keeps what these libraries print about themselves off the terminal; a model that they cannot take fails here."""
    try:
        with quiet(job.code):
            yield
    except Unfit as error:
        raise StepFailed(f"Neural Compressor cannot take this model: {error}") from error
