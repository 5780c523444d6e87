"""The `build-engine` pass: from an ONNX graph to a TensorRT or TensorRT-RTX engine."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from optkit.core.interface import Dim  # noqa: TC001  # pydantic reads the annotations
from optkit.core.passes import Host, Pass
from optkit.runtimes.cuda import find_gpu
from optkit.runtimes.tensorrt.library import LIBRARIES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from optkit.core.passes import Work

_MAX_LEVEL = 5


@dataclass(frozen=True)
class BuildEngine(Pass):
    """Builds an engine of TensorRT or TensorRT-RTX; the numbers that it computes with are those of the graph."""

    version: ClassVar[int] = 1
    roles: ClassVar[Mapping[str, frozenset[str]]] = {"model": frozenset({"onnx"}), "files": frozenset({"files"})}
    produces: ClassVar[str] = "engine"
    needs: ClassVar[tuple[str, ...]] = ("onnx", "onnx_ir")
    # TensorRT-RTX numbers names in the order of pointers: with equal addresses, repeating a run gives equal bytes.
    fixed_addresses: ClassVar[bool] = True

    profiles: tuple[dict[str, Dim], ...] = ()
    """Ranges of sizes to tune for, such as `[{batch: {min: 1, opt: 1, max: 1}}, {batch: {min: 2, opt: 16, max: 64}}]`;
    by default one, with the sizes under `model.dims`."""
    level: int = 3
    """How hard the builder searches: 0 (fast to build) to 5 (fast to run)."""
    workspace: int | None = None
    """MiB of GPU memory that layers may use for scratch; by default all there is."""
    capabilities: tuple[Literal["7.5", "8.0", "8.6", "8.9", "12.0", "12.1"], ...] = ()
    """Compute capabilities that the engine shall run on (tensorrt-rtx); by default all that the library knows."""
    hardware: Literal["same", "ampere+", "same-capability"] = "same"
    """GPUs that the engine shall run on besides the one that it is built on (tensorrt)."""
    version_compatible: bool = False
    """Whether later versions of the library shall run the engine (tensorrt)."""
    weight_streaming: bool = False
    """Whether weights may stay in host memory while the engine runs."""
    refit: Literal["no", "all", "individual"] = "no"
    """Whether weights can be replaced in the finished engine."""
    strip: bool = False
    """Leave the weights out of the engine; they are filled in from the graph when it is loaded."""
    plugins: tuple[str, ...] = ()
    """Shared libraries in the recipe's folder with the plugins that the graph's own operators need (tensorrt). They are
    code that you run, as the recipe is."""
    cuda_graphs: bool = False
    """Whether a session records a run and replays it while shapes stay the same: less work for the CPU."""
    timing_cache: bool = True
    """Keep what the builder measured, for the next build on this GPU (tensorrt)."""
    defer: bool = False
    """Write a build kit instead, for a machine that has the library and a GPU. Such a candidate is never approved."""
    target: str | None = None
    """What the engine is for: tensorrt or tensorrt-rtx; the recipe's target if not given."""

    def __post_init__(self) -> None:
        if not 0 <= self.level <= _MAX_LEVEL:
            raise ValueError(f"level should be 0 to {_MAX_LEVEL}, not {self.level}")
        if self.workspace is not None and self.workspace < 1:
            raise ValueError(f"workspace should be at least 1 MiB, not {self.workspace}")
        if len({Path(name).name for name in self.plugins}) < len(self.plugins):
            raise ValueError("two plugins have the same file name")
        for profile in self.profiles:
            for name, dim in profile.items():
                if not 1 <= dim.min <= dim.opt <= dim.max:
                    raise ValueError(f"{name} needs 1 ≤ min ≤ opt ≤ max, has {dim.min}, {dim.opt}, {dim.max}")

    def resolve(self, target: str, host: Host) -> Self:
        """Fills in the target."""
        del host
        return replace(self, target=self.target or target)

    def active_roles(self) -> frozenset[str]:
        """Plugins are files of the recipe."""
        return frozenset(self.roles) if self.plugins else frozenset({"model"})

    def files(self) -> tuple[str, ...]:
        """Returns the plugins."""
        return self.plugins

    def distributions(self) -> tuple[str, ...]:
        """An engine is bound to the version of its library; a kit is not."""
        library = None if self.defer else LIBRARIES.get(self.target or "")
        return (*self.needs, library.distribution) if library else self.needs

    def device(self, host: Host) -> str:
        """An engine of TensorRT is valid on the GPU that it was built on; one of TensorRT-RTX says what it runs on."""
        del host
        library = LIBRARIES.get(self.target or "")
        if self.defer or library is None or library.ahead_of_time:
            return ""
        gpu = find_gpu()
        return str(gpu) if gpu else "no GPU"

    def run(self, inputs: Mapping[str, Path], work: Work) -> None:
        """Writes the engine and what it is bound to, or a build kit; notes the build's log, layers and cost.

        Raises:
            UsageError: The parser would refuse nodes of the graph (all are listed), or the options do not fit.
            MissingDependency: The library or a GPU that it needs is absent.
            StepFailed: The builder failed; holds its own error.
        """
        from optkit.passes.building import build_engine
        from optkit.passes.engine_kit import write_kit

        (write_kit if self.defer else build_engine)(self, inputs, work)
