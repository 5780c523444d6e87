"""A table whose entries are imported when they are asked for, so that a command loads only what a recipe names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pkgutil import resolve_name
from typing import TypeVar

from optkit.core.errors import UsageError

T = TypeVar("T")


class LazyTable(Mapping[str, T]):
    """Name → what a reference `module:attribute` stands for."""

    def __init__(self, references: Mapping[str, str]) -> None:
        self._references = dict(references)

    def __getitem__(self, name: str) -> T:
        reference = self._references[name]
        try:
            found: T = resolve_name(reference)
        except Exception as error:
            raise UsageError(
                f"'{name}' cannot be loaded from {reference}: {type(error).__name__}: {error}",
                hint="update or uninstall the package that brings it",
            ) from error
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._references)

    def __len__(self) -> int:
        return len(self._references)

    def with_plugins(self, group: str) -> LazyTable[T]:
        """Returns the table with what installed plugins add to it; they cannot replace one of ours.

        Args:
            group: The entry point group, for example `optkit.passes`.
        """
        return LazyTable({**installed_plugins().get(group, {}), **self._references})


@cache
def installed_plugins() -> Mapping[str, Mapping[str, str]]:
    """Returns group → name → reference, of all that is installed: read once, for it takes tens of milliseconds."""
    from importlib.metadata import distributions

    found: dict[str, dict[str, str]] = {}
    for distribution in distributions():  # in the order of the path: the first one wins
        for point in distribution.entry_points:
            found.setdefault(point.group, {}).setdefault(point.name, f"{point.module}:{point.attr}")
    return found
