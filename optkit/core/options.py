"""Options given as `name=value` texts, for commands that take no recipe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from optkit.core import yaml
from optkit.core.errors import UsageError
from optkit.core.validate import build
from optkit.core.yaml import Mark

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")


def build_from_texts(kind: type[T], texts: Sequence[str], flag: str) -> T:
    """Returns a `kind` with the given options.

    Args:
        kind: An option dataclass.
        texts: `name=value`, the value as it would stand in a recipe.
        flag: How the command line calls them, for messages.

    Raises:
        UsageError: A text is malformed, or an option does not exist or has the wrong type.
    """
    document = yaml.Document(flag)
    values: dict[str, Any] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not name:
            raise UsageError(f"{flag} {text}: should read name=value", hint=f"for example {flag} method=dynamic")
        values[name] = yaml.parse_value(value)
        document.values[(name,)] = document.keys[(name,)] = Mark(f"{flag} {text}", 0, 0)
    made = build(kind, values, document, ())
    document.check()
    if made is None:
        raise UsageError(f"{kind.__name__} cannot be made of these options")
    return made
