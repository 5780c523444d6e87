"""What a reader is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from optkit.core.errors import UsageError
from optkit.core.validate import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    import numpy as np

    from optkit.data.preprocessing import Layout, Preprocessing

STRICT: dict[str, Any] = {"extra": "forbid", "strict": True}
# No file may ask for more memory than this: what is larger belongs in many files that are read one by one.
MAX_BYTES = 4 << 30


class Column(Protocol):
    """Values by row; reading one may open a file."""

    def __len__(self) -> int: ...

    def __getitem__(self, row: int, /) -> Any: ...  # noqa: ANN401  # what a reader's `decode` takes


@dataclass(frozen=True, slots=True)
class Request:
    """What to read.

    Attributes:
        root: Folder of the dataset.
        files: Relative POSIX paths of files and folders, in order.
        columns: Names of the arrays or columns that inputs come from.
        label: Name of the one that holds labels, or None.
        slices: Names of those that say which slice a row is in.
    """

    root: Path
    files: tuple[str, ...]
    columns: tuple[str, ...]
    label: str | None
    slices: tuple[str, ...] = ()

    @property
    def wanted(self) -> tuple[str, ...]:
        """Every column needed, once."""
        return tuple(dict.fromkeys((*self.columns, *([self.label] if self.label else []), *self.slices)))


class Reader(Protocol):
    """Reads one kind of file."""

    default_column: ClassVar[str | None]
    """Column that an input comes from unless told; None: the input's own name."""
    default_layout: ClassVar[Layout | None]
    """Layout of inputs unless told."""

    def read(self, request: Request) -> dict[str, Column]:
        """Returns the wanted columns, rows of all files one after the other.

        Raises:
            UsageError: A file is damaged, too large or lacks a column.
            MissingDependency: The library that reads it is absent.
        """

    def decode(self, value: Any, spec: Preprocessing) -> np.ndarray:  # noqa: ANN401  # a value of one of its columns
        """Returns a value of an input column as a numeric array.

        Raises:
            UsageError: The value is damaged or no number.
        """


def need_columns(wanted: Collection[str], present: Collection[str], file: str) -> None:
    """Raises UsageError if `file` lacks a wanted column."""
    for name in wanted:
        if name not in present:
            raise UsageError(f"{file} has no `{name}`", hint=did_you_mean(name, present))
