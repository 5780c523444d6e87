"""What `build-engine` does: check, parse, configure, build, and say what came of it."""

from __future__ import annotations

import ctypes
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optkit.core import interface as interfaces
from optkit.core.artifact import digest_file
from optkit.core.copying import copy_file
from optkit.core.errors import MissingDependency, OptkitError, StepFailed, UsageError
from optkit.core.messages import short_message
from optkit.graph.save import MODEL_FILE
from optkit.passes.engine_check import refused, require_ready
from optkit.passes.engine_config import add_profiles, check_options, configure
from optkit.passes.engine_profiles import full_profiles, shapes_of
from optkit.passes.timing_cache import timing_cache
from optkit.runtimes.cuda import find_gpu
from optkit.runtimes.tensorrt.library import dtype_name, library_named
from optkit.runtimes.tensorrt.log import lacks_gpu
from optkit.runtimes.tensorrt.parsing import parse
from optkit.runtimes.tensorrt.plan import PLAN_FILE, this_platform, write_about

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from optkit.core.interface import Dim, Interface
    from optkit.core.passes import Work
    from optkit.passes.build_engine import BuildEngine
    from optkit.runtimes.tensorrt.library import Library
    from optkit.runtimes.tensorrt.parsing import Parsed


@dataclass(frozen=True, slots=True)
class _Job:
    """One build.

    Attributes:
        do: The options.
        library: Which library builds.
        trt: Its module.
        interface: What the graph takes and returns.
        profiles: Ranges of sizes.
        parsed: The network.
    """

    do: BuildEngine
    library: Library
    trt: Any
    interface: Interface
    profiles: Sequence[Mapping[str, Dim]]
    parsed: Parsed


def build_engine(do: BuildEngine, inputs: Mapping[str, Path], work: Work) -> None:
    """Does what `BuildEngine.run` promises."""
    folder = inputs["model"]
    job = _prepare(do, inputs, work)
    work.progress(0.2, "building")
    work.out.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    _build(job, folder, work)
    seconds = time.perf_counter() - start
    interfaces.write(work.out, job.interface)
    about = _about(job, work.out / PLAN_FILE)
    write_about(work.out, about)
    work.notes["engine"] = {
        "library": f"{job.library.name} {job.trt.__version__}",
        "builder_seconds": seconds,
        "bytes": about["plan"]["bytes"],
        "profiles": len(job.profiles),
        "layers": dict(Counter(f"{layer['kind']} in {layer['precision']}" for layer in about["layers"])),
        "log": job.parsed.log.text(),
    }


def _prepare(do: BuildEngine, inputs: Mapping[str, Path], work: Work) -> _Job:
    """Checks all that can be checked before the builder starts, and parses the graph."""
    library = library_named(do.target)
    check_options(do, library)
    interface = interfaces.read(inputs["model"])
    profiles = full_profiles(interface, do.profiles)
    path = inputs["model"] / MODEL_FILE
    trt = library.load()
    for name in do.plugins:
        _load_plugin(inputs["files"] / name)
    work.progress(0.1, "parsing")
    parsed = parse(trt, path)
    require_ready(refused(parsed.errors, path), library.name)
    return _Job(do, library, trt, interface, profiles, parsed)


def _build(job: _Job, folder: Path, work: Work) -> None:
    config = configure(job.trt, job.do, job.parsed)
    if job.interface.dims:
        add_profiles(job.parsed, config, job.interface, job.profiles)
    with timing_cache(config, job.do, job.trt, work.tools):
        plan = job.parsed.builder.build_serialized_network(job.parsed.network, config)
        if plan is None:
            raise _failure(job)
    (work.out / PLAN_FILE).write_bytes(memoryview(plan))
    if job.do.strip:
        for file in sorted(folder.glob(f"{MODEL_FILE}*")):
            copy_file(file, work.out / file.name)


def _load_plugin(path: Path) -> None:
    """Loads a library whose plugins register themselves.

    Raises:
        UsageError: It cannot be loaded.
    """
    try:
        ctypes.CDLL(str(path), ctypes.RTLD_GLOBAL)
    except OSError as error:
        raise UsageError(f"the plugin {path.name} cannot be loaded: {short_message(error)}") from None


def _failure(job: _Job) -> OptkitError:
    """Returns the builder's own error; where all it says is that there is no GPU, that."""
    cause = job.parsed.log.cause()
    if not lacks_gpu(cause):
        return StepFailed(f"the builder failed: {cause or 'it gives no reason'}")
    return MissingDependency(
        f"{job.library.name} {job.library.version} needs a GPU to build with these options, and there is none: {cause}",
        hint="leave out what needs one (refit, strip), or say `build-engine: {defer: true}`",
    )


def _about(job: _Job, plan: Path) -> dict[str, Any]:
    network = job.parsed.network
    return {
        "library": job.library.name,
        "version": job.trt.__version__,
        "platform": this_platform(),
        "gpu": "" if job.library.ahead_of_time else str(find_gpu() or ""),
        "capabilities": list(job.do.capabilities or job.library.capabilities),
        "profiles": [shapes_of(job.interface, profile) for profile in job.profiles],
        "inputs": [_end(network.get_input(index)) for index in range(network.num_inputs)],
        "outputs": [_end(network.get_output(index)) for index in range(network.num_outputs)],
        "stripped": job.do.strip,
        "plan": {"bytes": plan.stat().st_size, "sha256": digest_file(plan)},
        "layers": _layers(job.parsed),
    }


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
