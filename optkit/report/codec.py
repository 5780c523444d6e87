"""Frozen values as strict JSON and back.

JSON has no NaN and no infinities (RFC 8259, section 6). As in the JSON mapping of protocol buffers, such a number is
written as the text "NaN", "Infinity" or "-Infinity". The reader restores it where the type asks for a number, and in
free-form values (a pass's options and notes); a name that reads "NaN" stays text.
"""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from optkit.core.errors import UsageError
from optkit.report.files import read_bytes

if TYPE_CHECKING:
    from pathlib import Path

T = TypeVar("T")
NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def encode(value: Any) -> str:  # noqa: ANN401  # any dataclass instance
    """Returns a dataclass as indented, strict JSON."""
    return json.dumps(_spelled(dataclasses.asdict(value)), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def load(kind: type[T], path: Path) -> T:
    """Reads what `encode` wrote.

    Raises:
        UsageError: The file cannot be read, is no JSON, or is not a `kind`.
    """
    import pydantic

    try:
        data = json.loads(read_bytes(path), parse_constant=_refuse)
        # JSON mode: strict, yet a list may fill a tuple; pydantic's reader takes a bare NaN.
        return pydantic.TypeAdapter(kind).validate_json(json.dumps(_restored(data, kind)), strict=True)
    except pydantic.ValidationError as error:
        raise UsageError(f"{path} is damaged or not of this version of optkit:\n{_mistakes(error)}") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not valid JSON: {error}") from None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _mistakes(error: Any) -> str:  # noqa: ANN401  # pydantic's ValidationError, not imported here
    found = error.errors(include_url=False)
    lines = [f"  {'.'.join(map(str, item['loc'])) or 'the document'}: {item['msg']}" for item in found[:5]]
    return "\n".join(lines) + (f"\n  and {len(found) - 5} more" if len(found) > 5 else "")  # noqa: PLR2004  # a screenful


def _spelled(value: Any) -> Any:  # noqa: ANN401  # any JSON value
    if isinstance(value, dict):
        return {key: _spelled(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_spelled(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def _restored(value: Any, kind: Any) -> Any:  # noqa: ANN401  # any JSON value, a type form
    if isinstance(value, str):
        return NON_FINITE.get(value, value) if _takes_number(kind) else value
    if isinstance(value, list):
        item = _argument(kind, 0)
        return [_restored(entry, item) for entry in value]
    if not isinstance(value, dict):
        return value
    target = _without_none(kind)
    if dataclasses.is_dataclass(target):
        fields = typing.get_type_hints(target)
        return {key: _restored(entry, fields.get(key)) for key, entry in value.items()}
    item = _argument(kind, 1)
    return {key: _restored(entry, item) for key, entry in value.items()}


def _takes_number(kind: Any) -> bool:  # noqa: ANN401  # a type form
    return _without_none(kind) in {float, Any}


def _argument(kind: Any, index: int) -> Any:  # noqa: ANN401  # a type form
    """Returns the type of the items of a tuple (0) or dictionary (1); free-form values hold free-form values."""
    kind = _without_none(kind)
    arguments = typing.get_args(kind)
    return Any if kind is Any else arguments[index] if index < len(arguments) else None


def _without_none(kind: Any) -> Any:  # noqa: ANN401  # a type form
    if typing.get_origin(kind) in {typing.Union, types.UnionType}:
        return next(member for member in typing.get_args(kind) if member is not types.NoneType)
    return kind
