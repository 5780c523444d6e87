"""Reads a protobuf message field by field, knowing no more of it than the numbers of its fields.

Source: "Encoding" in the documentation of Protocol Buffers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_VARINT, _EIGHT_BYTES, _SIZED = 0, 1, 2
_MORE = 0x80
_LONGEST = 10
"""Bytes of a varint."""


def fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yields number and bytes of each sized field: text, an embedded message, or packed numbers. Nothing is copied.

    Raises:
        IndexError: The message is truncated or damaged.
    """
    for number, value in _all_fields(message):
        if isinstance(value, memoryview):
            yield number, value


def number_of(message: memoryview, field: int) -> int:
    """Returns a field that holds an integer; 0, protobuf's default, if it is absent.

    Raises:
        IndexError: The message is truncated or damaged.
    """
    return next((value for at, value in _all_fields(message) if at == field and isinstance(value, int)), 0)


def _all_fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind, number = key & 7, key >> 3
        if kind == _VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        size = 8 if kind == _EIGHT_BYTES else 4
        if kind == _SIZED:
            size, at = _varint(message, at)
        if at + size > len(message):
            raise IndexError
        if kind == _SIZED:
            yield number, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """Returns the integer at `at` and where the next thing starts."""
    value = 0
    for index in range(_LONGEST):
        byte = message[at + index]
        value |= (byte & ~_MORE) << 7 * index
        if byte < _MORE:
            return value, at + index + 1
    raise IndexError
