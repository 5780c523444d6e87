"""Reads a page as a browser would, and complains of what a browser would mend in silence."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = frozenset({"meta", "link", "br"})


@dataclass
class Page:
    """What stands in a page.

    Attributes:
        tags: Every element's name, in order.
        attributes: (element, attribute, value).
        text: All of the text.
    """

    tags: list[str] = field(default_factory=list)
    attributes: list[tuple[str, str, str]] = field(default_factory=list)
    text: str = ""

    def values(self, name: str) -> list[str]:
        """Returns the values of an attribute, in order."""
        return [value for _, found, value in self.attributes if found == name]


def read(text: str) -> Page:
    """Returns a page's content.

    Raises:
        AssertionError: An element is not closed, or closed without being open.
    """
    parser = _Parser()
    parser.feed(text)
    parser.close()
    assert parser.open == []
    return parser.page


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.page = Page()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.page.tags.append(tag)
        self.page.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.page.tags.append(tag)
        self.page.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.page.text += data
