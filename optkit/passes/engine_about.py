"""What `engine.json` says of an engine: what it is bound to, what it takes and returns, what it is made of."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from optkit.core.artifact import digest_file
from optkit.passes.engine_profiles import shapes_of
from optkit.runtimes.cuda import find_gpu
from optkit.runtimes.tensorrt.device import no_device
from optkit.runtimes.tensorrt.library import dtype_name
from optkit.runtimes.tensorrt.plan import PLAN_FILE, this_platform
from optkit.runtimes.tensorrt.plugins import keep_plugins

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from optkit.passes.engine_job import Job
    from optkit.runtimes.tensorrt.parsing import Parsed


def describe(job: Job, inputs: Mapping[str, Path], out: Path) -> dict[str, Any]:
    """Returns the metadata of the engine that was built into `out`; puts its plugins beside it."""
    network, plan = job.parsed.network, out / PLAN_FILE
    about = {
        "library": job.library.name,
        "version": job.trt.__version__,
        "platform": this_platform(),
        "gpu": "" if job.library.ahead_of_time else str(find_gpu() or ""),
        "capabilities": list(job.do.capabilities or job.library.capabilities),
        "hardware": job.do.hardware,
        "version_compatible": job.do.version_compatible,
        "profiles": [shapes_of(job.interface, profile) for profile in job.profiles],
        "inputs": [_end(network.get_input(index)) for index in range(network.num_inputs)],
        "outputs": [_end(network.get_output(index)) for index in range(network.num_outputs)],
        "stripped": job.do.strip,
        "cuda_graphs": job.do.cuda_graphs,
        "plugins": keep_plugins([inputs["files"] / name for name in job.do.plugins], out),
        "plan": {"bytes": plan.stat().st_size, "sha256": digest_file(plan)},
        "layers": _layers(job.parsed),
    }
    return about | {"kernels": _kernels(job, about, out)}


def _kernels(job: Job, about: Mapping[str, Any], out: Path) -> dict[str, Any]:
    """Returns what the builder made of the layers, or why nobody could look: that takes a device to load it on."""
    if missing := no_device(job.library):
        return {"skipped": missing}
    from optkit.runtimes.tensorrt.inspecting import kernels
    from optkit.runtimes.tensorrt.loading import load_engine

    return {"seen": [asdict(each) for each in kernels(job.trt, load_engine(job.trt, out, about, job.parsed.log))]}


def _end(tensor: Any) -> dict[str, Any]:  # noqa: ANN401  # an extra: its types are not checked
    return {"name": tensor.name, "dtype": dtype_name(tensor.dtype), "shape": list(tensor.shape)}


def _layers(parsed: Parsed) -> list[dict[str, Any]]:
    """Returns name, kind and type of each layer but constants, as the network says them before the builder fuses any.

    A layer all of whose weights and activations come from a DequantizeLinear is one that may run in int8.
    """
    layers = [parsed.network.get_layer(index) for index in range(parsed.network.num_layers)]
    kinds = [(layer, layer.type.name) for layer in layers if layer.num_outputs]
    dequantized = {layer.get_output(0).name for layer, kind in kinds if kind == "DEQUANTIZE"}
    return [_layer(layer, kind.lower(), dequantized) for layer, kind in kinds if kind != "CONSTANT"]


def _layer(layer: Any, kind: str, dequantized: set[str]) -> dict[str, Any]:  # noqa: ANN401  # likewise
    inputs = [layer.get_input(index) for index in range(min(layer.num_inputs, 2))]
    reads = [tensor.name in dequantized for tensor in inputs if tensor is not None]
    precision = "int8" if reads and all(reads) else dtype_name(layer.get_output(0).dtype)
    return {"name": layer.name, "kind": kind, "precision": precision}
