"""The table of runtimes: only it knows their names; opening one imports its library."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from optkit.core.errors import MissingDependency, UsageError
from optkit.core.keys import installed_version
from optkit.runtimes import (
    onnxruntime_cpu,
    onnxruntime_gpu,
    onnxruntime_profile,
    openvino_cpu,
    openvino_profile,
    torch_compile,
    torch_eager,
    torch_profile,
)
from optkit.runtimes.session import Runtime
from optkit.runtimes.tensorrt.device import why_not
from optkit.runtimes.tensorrt.library import LIBRARIES
from optkit.runtimes.tensorrt.profile import open_profiled
from optkit.runtimes.tensorrt.session import open_session

if TYPE_CHECKING:
    from collections.abc import Mapping


RUNTIMES: Mapping[str, Runtime] = {
    runtime.name: runtime
    for runtime in (
        Runtime(
            "torch",
            frozenset({"torch", "program"}),
            ("torch", "safetensors"),
            torch_eager.open_session,
            open_profiled=torch_profile.open_profiled,
        ),
        Runtime(
            "torch-compile",
            frozenset({"torch"}),
            ("torch", "safetensors"),
            torch_compile.open_session,
            obstacle=torch_compile.obstacle,
            open_profiled=torch_compile.open_profiled,
        ),
        Runtime(
            "onnxruntime",
            frozenset({"onnx"}),
            ("onnxruntime",),
            onnxruntime_cpu.open_session,
            open_profiled=onnxruntime_profile.open_profiled,
        ),
        *(
            Runtime(
                name,
                frozenset({"onnx"}),
                (),  # onnxruntime-gpu or onnxruntime: `obstacle` asks the module itself
                partial(onnxruntime_gpu.open_session, provider=provider),
                obstacle=partial(onnxruntime_gpu.obstacle, provider),
            )
            for name, provider in onnxruntime_gpu.PROVIDERS.items()
        ),
        Runtime(
            "openvino",
            frozenset({"onnx"}),
            ("openvino",),
            openvino_cpu.open_session,
            "openvino",
            openvino_profile.open_profiled,
        ),
        *(
            Runtime(
                name,
                frozenset({"engine"}),
                (library.distribution,),
                partial(open_session, name),
                library.extra,
                partial(open_profiled, name),
                obstacle=partial(why_not, library),
            )
            for name, library in LIBRARIES.items()
        ),
    )
}


def runtime_named(name: str) -> Runtime:
    """Returns the runtime called `name`.

    Raises:
        UsageError: There is none.
    """
    if name not in RUNTIMES:
        raise UsageError(f"unknown runtime '{name}'", hint=f"known: {', '.join(RUNTIMES)}")
    return RUNTIMES[name]


def check_installed(name: str) -> None:
    """Refuses a runtime whose library, compiler or device is absent, before any work is done for it.

    Raises:
        UsageError: There is no such runtime.
        MissingDependency: Something that it needs is absent.
    """
    runtime = runtime_named(name)
    absent = [need for need in runtime.needs if installed_version(need) == "absent"]
    if absent:
        package = f"'optkit[{runtime.extra}]'" if runtime.extra else "optkit"
        hint = LIBRARIES[name].hint if name in LIBRARIES else f"pip install {package}"
        raise MissingDependency(f"the runtime {name} needs {', '.join(absent)}, which is not installed", hint=hint)
    if obstacle := runtime.obstacle():
        raise MissingDependency(f"the runtime {name} cannot run here: {obstacle}")
