"""A build kit: what a machine with the library and a GPU needs to build the engine that was not built here."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optkit.core import interface as interfaces
from optkit.core.artifact import digest_file
from optkit.core.copying import copy_file
from optkit.passes.engine_check import combine, require_ready, rule_refusals
from optkit.passes.engine_config import HARDWARE, check_options, flags
from optkit.passes.engine_profiles import full_profiles, shapes_of
from optkit.runtimes.tensorrt.library import library_named
from optkit.runtimes.tensorrt.plan import KIT_FILE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from optkit.core.passes import Work
    from optkit.passes.build_engine import BuildEngine

SCRIPT = "build.py"
_README = """\
# Build kit of an engine for {target}

Not approved: the accuracy of the graph was judged, its engine does not exist yet. On a machine with the library and,
for TensorRT, the GPU that it is to run on:

    python build.py

or, with TensorRT 10:

    {ten}

or, with TensorRT 11, where every network is strongly typed:

    {eleven}

`kit.json` holds the profiles, the options and the sha256 of the files above; `build.py` checks them.
"""


def write_kit(do: BuildEngine, inputs: Mapping[str, Path], work: Work) -> None:
    """Writes the kit for the graph in `inputs` into `work.out`.

    Raises:
        UsageError: The graph cannot become an engine, or the options do not fit.
    """
    library, folder = library_named(do.target), inputs["model"]
    check_options(do, library)
    interface = interfaces.read(folder)
    profiles = [shapes_of(interface, profile) for profile in full_profiles(interface, do.profiles)]
    path = folder / "model.onnx"
    found = rule_refusals(path)
    if not do.plugins:  # whether they have what is missing is seen where they are loaded
        require_ready(found if any(not each.silent for each in found) else combine(found, (), path), library.name)
    work.out.mkdir(parents=True, exist_ok=True)
    for file in sorted(folder.iterdir()):
        copy_file(file, work.out / file.name)
    copy_file(Path(__file__).with_name("kit_build.py"), work.out / SCRIPT)
    for name in do.plugins:
        copy_file(inputs["files"] / name, work.out / Path(name).name)
    libraries = [Path(name).name for name in do.plugins]
    names = [name for name in ("model.onnx", "model.onnx.data", *libraries) if (work.out / name).exists()]
    kit = {
        "approved": False,
        "target": library.name,
        "module": library.module,
        "plugins": libraries,
        "files": {name: digest_file(work.out / name) for name in names},
        "profiles": profiles if interface.dims else [],
        "level": do.level,
        "workspace": do.workspace,
        "flags": flags(do),
        "hardware": HARDWARE.get(do.hardware),
        "capabilities": list(do.capabilities),
    }
    commands = {"10": trtexec(kit, ("--stronglyTyped",)), "11": trtexec(kit, ())}
    document = kit | {"trtexec": commands}
    (work.out / KIT_FILE).write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")
    readme = _README.format(target=library.name, ten=commands["10"], eleven=commands["11"])
    (work.out / "README.md").write_text(readme)
    work.notes["kit"] = {"target": library.name, "trtexec": commands}


def trtexec(kit: Mapping[str, Any], typing: tuple[str, ...]) -> str:
    """Returns the command that builds the engine, in a shell's spelling.

    Args:
        kit: What `kit.json` says.
        typing: What makes networks strongly typed, where that has to be said.
    """
    words = [
        "trtexec", "--onnx=model.onnx", "--saveEngine=model.plan", *typing, "--skipInference",
        f"--builderOptimizationLevel={kit['level']}", "--profilingVerbosity=detailed", *_options(kit),
    ]  # fmt: skip
    return shlex.join(words)


_FLAG_WORDS = {
    "VERSION_COMPATIBLE": "--versionCompatible",
    "WEIGHT_STREAMING": "--allowWeightStreaming",
    "STRIP_PLAN": "--stripWeights",
    "REFIT": "--refit",
}
_HARDWARE_WORDS = {"AMPERE_PLUS": "ampere+", "SAME_COMPUTE_CAPABILITY": "sameComputeCapability"}


def _options(kit: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"--dynamicPlugins={name}" for name in kit["plugins"])
    if kit["workspace"]:
        yield f"--memPoolSize=workspace:{kit['workspace']}"
    yield from (_FLAG_WORDS[flag] for flag in kit["flags"] if flag in _FLAG_WORDS)
    if kit["hardware"]:
        yield f"--hardwareCompatibilityLevel={_HARDWARE_WORDS[kit['hardware']]}"
    several = len(kit["profiles"]) > 1
    for number, profile in enumerate(kit["profiles"]):
        if several:
            yield f"--profile={number}"
        for which in ("min", "opt", "max"):
            shapes = ",".join(f"{name}:{_size(shape[which])}" for name, shape in profile.items())
            yield f"--{which}Shapes={shapes}"


def _size(shape: list[int]) -> str:
    return "x".join(map(str, shape)) or "scalar"
