"""What a pass is: a frozen dataclass whose fields are its configuration.

One declaration gives the cache key, the recipe's schema and the documentation.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self

from optkit.core.schema import STRICT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

DEFAULT_TARGET = "onnxruntime-cpu"
"""What a recipe, or a pass alone, is for if it does not say."""


@dataclass(frozen=True, slots=True)
class Host:
    """The machine that a plan is made for.

    Attributes:
        flags: CPU feature flags, such as avx512_vnni.
        fingerprint: Names the machine class; enters the key of device-bound steps.
        threads: How many the plan lets a session have.
    """

    flags: frozenset[str]
    fingerprint: str
    threads: int = 2


@dataclass(slots=True)
class Work:
    """Where a running pass puts things.

    Attributes:
        out: Folder whose bytes become the artifact; holds only what the next step or the user consumes.
        scratch: Folder that survives a kill and goes when the step succeeds: checkpoints, search progress.
        notes: Goes to the record beside the action: JSON values for the report, never part of the artifact.
        tools: Folder that outlives steps: what a tool measured and can use again, such as timing caches. None
            outside a store.
    """

    out: Path
    scratch: Path
    notes: dict[str, Any] = field(default_factory=dict)
    on_progress: Callable[[float, str], None] = lambda _fraction, _text: None
    tools: Path | None = None

    def progress(self, fraction: float, text: str = "") -> None:
        """Reports that `fraction` (0 to 1) of the step is done."""
        self.on_progress(fraction, text)


@dataclass(frozen=True)
class Pass(ABC):
    """One file-to-file step. Subclasses add fields (their options) and `run`."""

    # Read by pydantic at the edge; a plain dict, so that nothing here imports it.
    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    version: ClassVar[int] = 1
    """Bumped when the algorithm changes."""
    roles: ClassVar[Mapping[str, frozenset[str]]] = {}
    """Role → artifact kinds that it accepts. `model` is the one that flows from step to step."""
    optional_roles: ClassVar[frozenset[str]] = frozenset()
    """Roles that may stay empty."""
    produces: ClassVar[str]
    """Kind of the artifact."""
    needs: ClassVar[tuple[str, ...]] = ()
    """Distributions whose versions enter the key."""
    device_bound: ClassVar[bool] = False
    """Whether the artifact is valid on this machine class only."""
    fixed_addresses: ClassVar[bool] = False
    """Whether the bytes would otherwise depend on where memory lies."""

    def resolve(self, target: str, host: Host) -> Self:
        """Returns the pass with every default that depends on the target or the machine filled in."""
        del target, host
        return self

    def active_roles(self) -> frozenset[str]:
        """Returns the roles that this configuration uses."""
        return frozenset(self.roles)

    def files(self) -> tuple[str, ...]:
        """Returns the files in the recipe's folder that this configuration names; they fill the role `files`."""
        return ()

    def is_device_bound(self) -> bool:
        """Returns whether this configuration's artifact is valid on this machine class only."""
        return self.device_bound

    def device(self, host: Host) -> str:
        """Returns what of the machine this configuration's artifact is bound to; nothing if it is valid anywhere."""
        return host.fingerprint if self.is_device_bound() else ""

    def distributions(self) -> tuple[str, ...]:
        """Returns the distributions whose versions enter this configuration's key."""
        return self.needs

    def budgets(self) -> Mapping[str, float]:
        """Returns metric → the largest drop that this configuration allows; candidates are judged by it, too.

        The metrics are those under the option `budget`, by the names that the recipe gives them.
        """
        return {}

    def with_metrics(self, metrics: Mapping[str, Mapping[str, Any]]) -> Self:
        """Returns the pass with the definitions (kind and options) of the metrics that its budgets name."""
        del metrics
        return self

    @abstractmethod
    def run(self, inputs: Mapping[str, Path], work: Work) -> None:
        """Reads the artifacts in `inputs` (role → folder) and writes one into `work.out`.

        Raises:
            UsageError: Something that the user gave does not fit.
            BudgetMissed: What is within the budgets cannot be found.
            MissingDependency: A library is absent.
            StepFailed: The work cannot be done; the message says why.
        """

    def config(self) -> dict[str, Any]:
        """Returns the fields as JSON types."""
        return json.loads(json.dumps(asdict(self)))  # type: ignore[no-any-return]  # tuples become lists


def pass_path(do: Pass) -> str:
    """Returns where a child finds the class of a pass: `module:name`."""
    return f"{type(do).__module__}:{type(do).__qualname__}"
