"""What happens while optkit works: the progress view, `--json` and the tests are all subscribers."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Event:
    """Base of all events; as JSON, `event` names its type in lower case."""

    def to_json(self) -> dict[str, Any]:
        """Returns the event as JSON types."""
        name = "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in type(self).__name__)
        return {"event": name.removeprefix("-"), **dataclasses.asdict(self)}


@dataclass(frozen=True, slots=True)
class StepStarted(Event):
    """A step is not cached and starts to run."""

    step: str


@dataclass(frozen=True, slots=True)
class StepWaiting(Event):
    """Another process is building the same step; its result will be used."""

    step: str


@dataclass(frozen=True, slots=True)
class StepProgress(Event):
    """A running step (or a measurement) has done `fraction` of its work."""

    step: str
    fraction: float
    text: str = ""


@dataclass(frozen=True, slots=True)
class ObjectDamaged(Event):
    """A stored object's bytes had changed; its step runs again."""

    step: str
    digest: str


@dataclass(frozen=True, slots=True)
class StepFinished(Event):
    """A step's artifact is in the store.

    Attributes:
        step: Its name.
        kind: Kind of the artifact.
        digest: Address of the artifact.
        cached: Whether it was there already.
        key: The step's cache key.
        record: Notes, seconds and peak memory, of the run that made it.
    """

    step: str
    kind: str
    digest: str
    cached: bool
    key: str
    record: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Judged(Event):
    """One rule of a gate was judged."""

    candidate: str
    gate: str
    rule: str
    status: str
    text: str


@dataclass(frozen=True, slots=True)
class Bisected(Event):
    """Where on the way to a candidate its result goes wrong.

    Attributes:
        candidate: The leaf.
        step: The step; empty if none goes wrong.
        text: The verdict in one line.
        steps: The worst output of each graph step, in order.
        tensor: The first bad tensor within the step; None if there is none that both graphs have.
    """

    candidate: str
    step: str
    text: str
    steps: tuple[Mapping[str, Any] | None, ...]
    tensor: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Packaged(Event):
    """An approved candidate was written for a serving runtime."""

    candidate: str
    emitter: str
    path: str


@dataclass(frozen=True, slots=True)
class Note(Event):
    """Something that a person should know, such as a missing gate."""

    text: str
