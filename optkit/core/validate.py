"""Plain data into typed, frozen values, with every mistake at its place and a near-miss suggestion.

This is the edge where pydantic works; the types themselves are plain dataclasses.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import types
import typing
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable

    from optkit.core.yaml import Document, KeyPath

T = TypeVar("T")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Returns a hint: the nearest known word, or all of them when none is near."""
    known = sorted(known)
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"one of {', '.join(known)}" if known else ""


def build(kind: type[T], data: object, document: Document, path: KeyPath) -> T | None:
    """Returns `data` as a `kind`; notes each mistake in `document` and then returns None."""
    import pydantic

    try:
        # JSON mode: strict, yet a list may fill a tuple.
        return pydantic.TypeAdapter(kind).validate_json(json.dumps(data), strict=True)
    except pydantic.ValidationError as error:
        _note(error.errors(include_url=False), kind, document, path)
        return None


def _note(errors: Iterable[Any], kind: Any, document: Document, path: KeyPath) -> None:  # noqa: ANN401  # a type form
    messages: dict[KeyPath, list[str]] = {}
    for error in errors:
        place = (*path, *error["loc"])
        if error["type"] in {"unexpected_keyword_argument", "extra_forbidden"}:
            hint = did_you_mean(str(place[-1]), _fields_at(kind, error["loc"][:-1]))
            document.problem(place, "unknown key", hint, key=True)
        else:
            # A union reports one error per member, under a made-up last part: they belong to the value itself.
            known = place if error["type"] in {"missing", "missing_argument"} else _known(place, document, path)
            messages.setdefault(known, []).append(_message(error))
    for place, texts in messages.items():
        document.problem(place, " or ".join(dict.fromkeys(texts)))


def _known(place: KeyPath, document: Document, root: KeyPath) -> KeyPath:
    while len(place) > len(root) and place not in document.values:
        place = place[:-1]
    return place


def _message(error: Any) -> str:  # noqa: ANN401  # pydantic's ErrorDetails, not imported here
    if error["type"] in {"missing", "missing_argument"}:
        return "is missing"
    if error["type"] in {"dataclass_type", "dataclass_exact_type", "dict_type"}:
        return f"should be a mapping, not {_shown(error['input'])}"
    text = str(error["msg"]).removeprefix("Input should be ").removeprefix("Value error, ")
    return f"should be {text}, not {_shown(error['input'])}"


def _shown(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."  # noqa: PLR2004  # fits a terminal line


def _fields_at(kind: Any, loc: tuple[str | int, ...]) -> list[str]:  # noqa: ANN401  # a type form
    """Returns the field names of the dataclass that `loc` leads to, starting from `kind`."""
    for part in loc:
        kind = _step_into(kind, part)
    return [field.name for field in dataclasses.fields(kind)] if dataclasses.is_dataclass(kind) else []


def _step_into(kind: Any, part: str | int) -> Any:  # noqa: ANN401  # a type form
    kind = _without_none(kind)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _without_none(typing.get_type_hints(kind).get(str(part)))
    arguments = typing.get_args(kind)
    return _without_none(arguments[-1] if isinstance(part, str) else arguments[0]) if arguments else None


def _without_none(kind: Any) -> Any:  # noqa: ANN401  # a type form
    if typing.get_origin(kind) in {typing.Union, types.UnionType}:
        members = [member for member in typing.get_args(kind) if member is not type(None)]
        return members[0] if len(members) == 1 else kind
    return kind
