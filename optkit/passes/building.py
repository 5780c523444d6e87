"""What `build-engine` does: check, parse, configure, build, and say what came of it."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

from optkit.core import interface as interfaces
from optkit.core.copying import copy_file
from optkit.core.errors import MissingDependency, OptkitError, StepFailed
from optkit.graph.save import MODEL_FILE
from optkit.passes.engine_about import describe
from optkit.passes.engine_check import refused, require_ready
from optkit.passes.engine_config import add_profiles, check_options, configure
from optkit.passes.engine_job import Job
from optkit.passes.engine_profiles import full_profiles
from optkit.passes.timing_cache import timing_cache
from optkit.runtimes.tensorrt.library import library_named
from optkit.runtimes.tensorrt.log import lacks_gpu
from optkit.runtimes.tensorrt.parsing import parse
from optkit.runtimes.tensorrt.plan import PLAN_FILE, write_about
from optkit.runtimes.tensorrt.plugins import load_plugin

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from optkit.core.passes import Work
    from optkit.passes.build_engine import BuildEngine


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
    about = describe(job, inputs, work.out)
    write_about(work.out, about)
    work.notes["engine"] = {
        "library": f"{job.library.name} {job.trt.__version__}",
        "builder_seconds": seconds,
        "bytes": about["plan"]["bytes"],
        "profiles": len(job.profiles),
        "layers": dict(Counter(f"{layer['kind']} in {layer['precision']}" for layer in about["layers"])),
        "kernels": about["kernels"],
        "log": job.parsed.log.text(),
    }


def _prepare(do: BuildEngine, inputs: Mapping[str, Path], work: Work) -> Job:
    """Checks all that can be checked before the builder starts, and parses the graph."""
    library = library_named(do.target)
    check_options(do, library)
    interface = interfaces.read(inputs["model"])
    profiles = full_profiles(interface, do.profiles)
    path = inputs["model"] / MODEL_FILE
    trt = library.load()
    for name in do.plugins:
        load_plugin(inputs["files"] / name)
    work.progress(0.1, "parsing")
    parsed = parse(trt, path)
    require_ready(refused(parsed.errors, path), library.name)
    return Job(do, library, trt, interface, profiles, parsed)


def _build(job: Job, folder: Path, work: Work) -> None:
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


def _failure(job: Job) -> OptkitError:
    """Returns the builder's own error; where all it says is that there is no GPU, that."""
    cause = job.parsed.log.cause()
    if not lacks_gpu(cause):
        return StepFailed(f"the builder failed: {cause or 'it gives no reason'}")
    return MissingDependency(
        f"{job.library.name} {job.library.version} needs a GPU to build with these options, and there is none: {cause}",
        hint="leave out what needs one (refit, strip), or say `build-engine: {defer: true}`",
    )
