"""Every error that a user can cause, and the exit code that it ends with.

    OptkitError
    ├── UsageError             2    the command line, the recipe or a file that it names
    │   └── RecipeError        2    a list of problems, each at file:line:col
    ├── GateFailed             3    a gate failed, stayed inconclusive or could not be measured
    ├── BudgetMissed           3    a step could not keep the accuracy that it was given
    ├── MissingDependency      4    a package or device is absent
    ├── StepFailed             5    a pass raised, crashed or ran out of memory or disk
    └── VerifyFailed           6    a server answered wrongly

Anything else that escapes is a bug (exit 70). An interrupt exits 130.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Sequence

EXIT_BUG = 70
EXIT_INTERRUPTED = 130


class OptkitError(Exception):
    """What went wrong, where, and how to mend it.

    Args:
        message: One or more lines for a person.
        hint: How to fix it; printed below the message.
    """

    exit_code: ClassVar[int] = EXIT_BUG

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class UsageError(OptkitError):
    """The command line, the recipe or a file that it names is wrong."""

    exit_code = 2


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake in a recipe.

    Attributes:
        file: The file as the user named it.
        line: 1-based; 0 when the problem is not in a file (a `--set` override).
        column: 1-based.
        path: Dotted path of the value, such as `steps[1].quantize.ranges`.
        message: What is wrong.
        hint: What to write instead, if known.
    """

    file: str
    line: int
    column: int
    path: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        hint = f"  ({self.hint})" if self.hint else ""
        return f"{where}  {self.path}  {self.message}{hint}"


class RecipeError(UsageError):
    """All mistakes of a recipe at once."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        # One mistake may be met from two sides (a broken section is read for itself and for its names).
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(map(str, self.problems)))


class GateFailed(OptkitError):
    """A gate failed, stayed inconclusive or could not be measured."""

    exit_code = 3


class BudgetMissed(OptkitError):
    """A step found nothing that keeps the accuracy that it was given; the message says what came nearest."""

    exit_code = 3


class MissingDependency(OptkitError):
    """A package, library or device that is needed is absent."""

    exit_code = 4


class StepFailed(OptkitError):
    """A step of the plan did not produce its artifact."""

    exit_code = 5


class VerifyFailed(OptkitError):
    """A server started from an emitted entry did not answer as recorded."""

    exit_code = 6


# What a pass may raise in its own process, by name: the runner raises the same class on its side.
ACROSS_PROCESSES: dict[str, type[OptkitError]] = {
    cls.__name__: cls for cls in (UsageError, BudgetMissed, MissingDependency, StepFailed)
}
