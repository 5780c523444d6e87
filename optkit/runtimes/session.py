"""What every runtime offers: a session that maps arrays to arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from optkit.runtimes.profiling import ProfiledSession


class Session(Protocol):
    """A loaded model, ready to run."""

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Returns the outputs by name, in the order of the model's interface.

        Args:
            inputs: Input name → array, in the shape and dtype that the interface declares.

        Raises:
            StepFailed: The model cannot run on these inputs, or returns what its interface does not declare.
        """


@dataclass(frozen=True, slots=True)
class Runtime:
    """A way to run models.

    Attributes:
        name: As recipes and reports spell it.
        kinds: Artifact kinds that it opens.
        needs: Distributions that it imports.
        open: (artifact folder, threads ≥ 1) → session. Raises UsageError for a model that is broken or does not
            fit together, StepFailed for one that fails while it is loaded.
        extra: The extra of optkit that brings `needs`, where a plain installation does not.
        open_profiled: As `open`, for a session that keeps the times of its operators; None if the runtime cannot.
        obstacle: () → why it cannot run here although `needs` are installed (a compiler or device is absent), or "".
    """

    name: str
    kinds: frozenset[str]
    needs: tuple[str, ...]
    open: Callable[[Path, int], Session]
    extra: str = ""
    open_profiled: Callable[[Path, int], ProfiledSession] | None = None
    obstacle: Callable[[], str] = str
