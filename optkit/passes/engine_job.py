"""One build of an engine, ready to start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from optkit.core.interface import Dim, Interface
    from optkit.passes.build_engine import BuildEngine
    from optkit.runtimes.tensorrt.library import Library
    from optkit.runtimes.tensorrt.parsing import Parsed


@dataclass(frozen=True, slots=True)
class Job:
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
