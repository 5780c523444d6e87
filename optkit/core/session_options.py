"""How a runtime runs a model, kept in the artifact beside it, so that what was measured is what is served."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Literal, get_args

from optkit.core.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

SESSION_FILE = "session.json"
_MAX_BYTES = 4096
Execution = Literal["sequential", "parallel"]
GraphLevel = Literal["all", "extended", "basic"]
SessionOption = Literal["threads", "execution", "graph", "arena", "spinning"]


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """What can be chosen for a session; a runtime takes what it knows.

    Attributes:
        threads: Most threads within an operator; whoever opens the session may allow fewer.
        execution: Whether operators that do not need each other run at the same time.
        graph: What the runtime's own optimiser may do; it changes the last bits of the outputs, and of int8 more.
        arena: Whether memory that was freed is kept for the next run.
        spinning: Whether threads wait for their next operator without sleeping.
    """

    threads: int
    execution: Execution = "sequential"
    graph: GraphLevel = "all"
    arena: bool = True
    spinning: bool = True


def write(options: SessionOptions, folder: Path) -> None:
    """Writes the options into the artifact at `folder`."""
    (folder / SESSION_FILE).write_text(json.dumps(asdict(options), indent=1) + "\n")


def read(folder: Path) -> SessionOptions | None:
    """Returns the options of the artifact at `folder`; None if it has none.

    Raises:
        UsageError: The file is damaged or foreign.
    """
    path = folder / SESSION_FILE
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file:
            return _checked(json.loads(file.read(_MAX_BYTES)))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{SESSION_FILE} holds no session options: {error}", hint="`tune` writes it") from None


def _checked(found: object) -> SessionOptions:
    if not isinstance(found, dict) or found.keys() != {field.name for field in fields(SessionOptions)}:
        raise ValueError(f"it should name {', '.join(get_args(SessionOption))}")
    if type(found["threads"]) is not int or found["threads"] < 1:
        raise ValueError("threads should be a number from 1 on")
    for name, choices in (("execution", get_args(Execution)), ("graph", get_args(GraphLevel))):
        if found[name] not in choices:
            raise ValueError(f"{name} should be one of {', '.join(choices)}")
    for name in ("arena", "spinning"):
        if not isinstance(found[name], bool):
            raise ValueError(f"{name} should be true or false")  # noqa: TRY004  # a value of the file, not of the program
    return SessionOptions(**found)
