"""Plain data into typed, frozen values, with every mistake at its place and a near-miss suggestion.

This is the edge where pydantic works; the types themselves are plain dataclasses.
"""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import json
import re
import sys
import types
import typing
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from optkit.core.yaml import Document, KeyPath

T = TypeVar("T")
# Names of recipes, steps, metrics and parts of the data become names of files.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
# pydantic's names for errors: those of dataclasses differ from those of TypedDict and dict.
_UNKNOWN_KEY = frozenset({"unexpected_keyword_argument", "extra_forbidden"})
_MISSING = frozenset({"missing", "missing_argument"})
_NO_MAPPING = frozenset({"dataclass_type", "dataclass_exact_type", "dict_type"})
_EXPECTED = "Input should be "


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Returns a hint: the nearest known word, or all of them when none is near."""
    known = sorted(known)
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"one of {', '.join(known)}" if known else ""


def check_name(name: object, document: Document, path: KeyPath, *, key: bool = False) -> bool:
    """Notes a name that cannot name a folder; returns whether it can."""
    fits = isinstance(name, str) and _NAME.fullmatch(name) is not None
    if not fits:
        document.problem(path, f"should be a name of letters, digits, '.', '_' and '-', not {_shown(name)}", key=key)
    return fits


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
    wrong: dict[KeyPath, list[Any]] = {}
    for error in errors:
        loc = error["loc"]
        if error["type"] in _UNKNOWN_KEY:
            hint = did_you_mean(str(loc[-1]), _fields_at(kind, loc[:-1]))
            document.problem((*_known(loc[:-1], document, path), loc[-1]), "unknown key", hint, key=True)
        elif error["type"] in _MISSING:
            document.problem((*_known(loc[:-1], document, path), loc[-1]), "is missing")
        else:
            wrong.setdefault(_known(loc, document, path), []).append(error)
    for place, group in wrong.items():
        # Of a union's members, the one that got deepest is the one that was meant.
        if not any(len(other) > len(place) and other[: len(place)] == place for other in wrong):
            document.problem(place, _message(group), _near_choice(group))


def _known(loc: KeyPath, document: Document, root: KeyPath) -> KeyPath:
    """Returns where `loc` was written: a union puts made-up parts, its members' names, into it."""
    for part in loc:
        if (*root, part) in document.values:
            root = (*root, part)
    return root


def _message(errors: Sequence[Any]) -> str:
    """Returns what is wrong with one value; a union has one error for each of its members."""
    expected, other = [], []
    for error in errors:
        text = "Input should be a mapping" if error["type"] in _NO_MAPPING else str(error["msg"])
        if text.startswith(_EXPECTED):
            expected.append(text.removeprefix(_EXPECTED))
        else:
            other.append(text.removeprefix("Value error, "))
    if expected:
        other.append(f"should be {' or '.join(dict.fromkeys(expected))}, not {_shown(errors[0]['input'])}")
    return "; ".join(other)


def _near_choice(errors: Sequence[Any]) -> str:
    """Returns a hint if a value is close to one of those that are allowed."""
    allowed = " ".join(error["ctx"]["expected"] for error in errors if error["type"] == "literal_error")
    near = difflib.get_close_matches(str(errors[0]["input"]), re.findall(r"'([^']+)'", allowed), n=1)
    return f"did you mean {near[0]!r}?" if near else ""


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
        return _without_none(_field_type(kind, str(part)))
    arguments = typing.get_args(kind)
    return _without_none(arguments[-1] if isinstance(part, str) else arguments[0]) if arguments else None


def _field_type(kind: type, name: str) -> Any:  # noqa: ANN401  # a type form
    """Returns the type of one field; the class's other annotations need not be resolvable at run time."""
    for base in kind.__mro__:
        annotations = inspect.get_annotations(base)
        if name in annotations:
            alone = types.SimpleNamespace(__annotations__={name: annotations[name]})
            return typing.get_type_hints(alone, vars(sys.modules[base.__module__]))[name]
    return None


def _without_none(kind: Any) -> Any:  # noqa: ANN401  # a type form
    if typing.get_origin(kind) in {typing.Union, types.UnionType}:
        members = [member for member in typing.get_args(kind) if member is not type(None)]
        return members[0] if len(members) == 1 else kind
    return kind
