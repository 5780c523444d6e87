"""HTML by construction: whatever is not markup already is escaped."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from optkit.report.format import clean

if TYPE_CHECKING:
    from collections.abc import Iterable

_VOID = frozenset({"meta", "link", "br"})


class Markup(str):
    """Text that goes into a page as it is."""

    __slots__ = ()


def escaped(text: str) -> Markup:
    """Returns a text as markup that shows it, what cannot be printed spelled as an escape."""
    return text if isinstance(text, Markup) else Markup(html.escape(clean(text)))


def joined(parts: Iterable[str | None], between: str = "") -> Markup:
    """Returns texts and markup one after the other; None is left out."""
    return Markup(escaped(between).join(escaped(part) for part in parts if part is not None))


def element(name: str, /, *children: str | None, **attributes: str | None) -> Markup:
    """Returns an element.

    Args:
        name: Its tag.
        *children: Markup, or text that is escaped; None is left out.
        **attributes: `class_` means class, and `aria_label` aria-label; None is left out.
    """
    given = {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items() if value is not None}
    opening = "".join(f' {key}="{escaped(value)}"' for key, value in given.items())
    return Markup(f"<{name}{opening}>" + ("" if name in _VOID else f"{joined(children)}</{name}>"))
