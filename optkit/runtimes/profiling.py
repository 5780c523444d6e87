"""What a runtime tells about the time of each operator that it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from optkit.runtimes.session import Session

if TYPE_CHECKING:
    from collections.abc import Sequence

Arithmetic = Literal["int8", "conversion", "other"]
"""Whether an operator computes on (or moves) 8-bit integers, converts to or from them, or does neither."""


@dataclass(frozen=True, slots=True)
class Operator:
    """Something that a runtime executes.

    Attributes:
        name: The node or module that it belongs to; empty if the runtime does not tell.
        type: As the runtime names it.
        arithmetic: Which numbers it computes on.
    """

    name: str
    type: str
    arithmetic: Arithmetic


@dataclass(frozen=True, slots=True)
class Call:
    """An operator that ran once, and the milliseconds that it took itself, without those of operators within it."""

    operator: Operator
    ms: float


class ProfiledSession(Session, Protocol):
    """A session that keeps the times of its operators, and is the slower for it."""

    def finish(self) -> Sequence[Sequence[Call]]:
        """Ends the profile; returns the calls of each run since the session was opened, in the order of the runs."""
