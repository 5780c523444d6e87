"""Options of `build-engine` as the library's own builder configuration."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from optkit.core.errors import StepFailed, UsageError
from optkit.passes.engine_profiles import shapes_of
from optkit.runtimes.tensorrt.library import LIBRARIES, capability_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from optkit.core.interface import Dim, Interface
    from optkit.passes.build_engine import BuildEngine
    from optkit.runtimes.tensorrt.library import Library
    from optkit.runtimes.tensorrt.parsing import Parsed

_MIB = 1 << 20
HARDWARE = {"ampere+": "AMPERE_PLUS", "same-capability": "SAME_COMPUTE_CAPABILITY"}
"""GPUs besides the one at hand → the library's name for them."""
_REFIT = {"all": "REFIT", "individual": "REFIT_INDIVIDUAL"}


def check_options(do: BuildEngine, library: Library) -> None:
    """Refuses an option that was set and that this library does not have.

    Raises:
        UsageError: Names the option and the library that has it.
    """
    for option in fields(do):
        owner = next((each for each in LIBRARIES.values() if option.name in each.options), library)
        if owner is not library and getattr(do, option.name) != option.default:
            raise UsageError(
                f"{option.name} is an option of {owner.name}, not of {library.name}", hint=f"leave {option.name} out"
            )


def configure(trt: Any, do: BuildEngine, parsed: Parsed) -> Any:  # noqa: ANN401  # an extra: its types are not checked
    """Returns a builder configuration for the options of `do`, profiles left out.

    Raises:
        UsageError: The installed version of the library lacks an option that was set.
    """
    config = parsed.builder.create_builder_config()
    config.builder_optimization_level = do.level
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # the inspector then tells the precision of layers
    if do.workspace is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, do.workspace * _MIB)
    for flag in flags(do):
        config.set_flag(_member(trt, "BuilderFlag", flag))
    if do.hardware != "same":
        config.hardware_compatibility_level = _member(trt, "HardwareCompatibilityLevel", HARDWARE[do.hardware])
    if do.capabilities:
        config.num_compute_capabilities = len(do.capabilities)
        for index, capability in enumerate(do.capabilities):
            config.set_compute_capability(capability_of(trt, capability), index)
    return config


def add_profiles(parsed: Parsed, config: Any, interface: Interface, profiles: Sequence[Mapping[str, Dim]]) -> None:  # noqa: ANN401  # likewise
    """Adds the profiles to the configuration.

    Raises:
        UsageError: The network lacks an input of the interface.
        StepFailed: The library refuses a profile.
    """
    names = {parsed.network.get_input(index).name for index in range(parsed.network.num_inputs)}
    for number, sizes in enumerate(profiles):
        profile = parsed.builder.create_optimization_profile()
        for name, shape in shapes_of(interface, sizes).items():
            if name not in names:
                raise UsageError(
                    f"the network has no input {name}", hint="nothing reads it: leave it out of the model's inputs"
                )
            profile.set_shape(name, *(tuple(shape[which]) for which in ("min", "opt", "max")))
        if config.add_optimization_profile(profile) < 0:
            raise StepFailed(f"profile {number} is refused: {parsed.log.cause()}")


def flags(do: BuildEngine) -> list[str]:
    """Returns the library's names of the flags that are set."""
    wanted = {
        "VERSION_COMPATIBLE": do.version_compatible,
        "WEIGHT_STREAMING": do.weight_streaming,
        "STRIP_PLAN": do.strip,
        **{flag: do.refit == how for how, flag in _REFIT.items()},
    }
    return [flag for flag, given in wanted.items() if given]


def _member(trt: Any, enum: str, name: str) -> Any:  # noqa: ANN401  # likewise
    value = getattr(getattr(trt, enum), name, None)
    if value is None:
        raise UsageError(f"{trt.__name__} {trt.__version__} has no {enum}.{name}", hint="leave the option out")
    return value
