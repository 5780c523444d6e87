"""Slices: groups of samples that are judged by themselves, by the value of a column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optkit.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy as np

BY_LABEL = "label"
"""The slicing that every dataset with classes has."""
_MOST = 1000


@dataclass(frozen=True, slots=True)
class Slicing:
    """Which slice each sample belongs to.

    Attributes:
        codes: int64, (samples,): index into `names`.
        names: Of the slices. One may have no sample, where classes are declared.
    """

    codes: np.ndarray
    names: tuple[str, ...]

    def parts(self) -> Iterator[tuple[str, np.ndarray]]:
        """Yields each slice's name and which samples are in it: bool, (samples,)."""
        for code, name in enumerate(self.names):
            yield name, self.codes == code


def slice_by(values: Iterable[Any], name: str) -> Slicing:
    """Returns the slices of samples by their values, texts or whole numbers, in sorted order.

    Args:
        values: One for each sample.
        name: Of the slicing, for messages.

    Raises:
        UsageError: A value is neither, or there are more different ones than groups can be meant.
    """
    import numpy as np

    plain = [_plain(value, name) for value in values]
    distinct = sorted(set(plain), key=lambda value: (isinstance(value, str), value))
    if len(distinct) > _MOST:
        raise UsageError(
            f"slices.{name}: {len(distinct)} different values; at most {_MOST} make slices",
            hint="name a column that groups the samples",
        )
    codes = {value: code for code, value in enumerate(distinct)}
    return Slicing(np.array([codes[value] for value in plain], np.int64), tuple(map(str, distinct)))


def _plain(value: Any, name: str) -> str | int:  # noqa: ANN401  # a cell of any reader
    value = value.item() if getattr(value, "shape", None) == () else value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, str | int):
        raise UsageError(f"slices.{name}: {value!r} is neither a text nor a whole number")
    return value
