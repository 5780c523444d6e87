"""A click type for lists of numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from click import Context, Parameter


class _Counts(click.ParamType[tuple[int, ...]]):
    """Numbers above 0, such as 1,8,32."""

    name = "numbers"
    _one: click.ParamType[Any] = click.IntRange(min=1)

    def convert(self, value: str | tuple[int, ...], param: Parameter | None, ctx: Context | None) -> tuple[int, ...]:
        if isinstance(value, tuple):  # converted before
            return value
        return tuple(sorted({int(self._one.convert(text, param, ctx)) for text in value.split(",")}))


Counts = _Counts()
