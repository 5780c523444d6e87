"""From the SVG that matplotlib writes to one that lives inside a page.

Colours become the page's own, so that they follow its light and dark schemes; fonts are inherited; names of elements
are kept only where something refers to them, under a prefix that keeps figures apart.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from optkit.report.format import clean
from optkit.report.html.markup import Markup, element

COLOURS = ("ink", "muted", "grid", "surface", "good", "bad", "series-0", "series-1", "series-2", "series-3", "series-4",
           "series-5", "series-6")  # fmt: skip
"""What figures are drawn with: names of the page's colours."""
SERIES = sum(name.startswith("series-") for name in COLOURS)
_DRAWN = re.compile(r"#0000([0-9a-f]{2})")
_FONT = re.compile(r"font-family:[^;]*;? ?")
_REFERENCE = re.compile(r"#([\w.]+)")
_TURNED_BY_NOTHING = re.compile(r"rotate\(-?0 ")
_DROPPED = frozenset({"style", "metadata"})
_LINK = "{http://www.w3.org/1999/xlink}href"


def colour(name: str) -> str:
    """Returns the colour to draw with for the page's colour of that name."""
    return f"#0000{COLOURS.index(name) + 1:02x}"  # not black, which SVG leaves out


def inline(drawn: str, key: str, title: str, description: str) -> Markup:
    """Returns a figure for the page.

    Args:
        drawn: A whole SVG document, drawn in colours of `colour`.
        key: Unique in the page.
        title: What a screen reader calls it.
        description: What it says of it.
    """
    root = ET.fromstring(drawn)  # noqa: S314  # matplotlib wrote it
    used = {name for each in root.iter() for value in each.attrib.values() for name in _REFERENCE.findall(value)}
    body = "".join(ET.tostring(_adopted(child, key, used), encoding="unicode") for child in root)
    label = element("title", title, id=f"{key}-title") + element("desc", description, id=f"{key}-desc")
    return element(
        "svg", Markup(label + body), viewBox=root.get("viewBox"), role="img",
        aria_labelledby=f"{key}-title {key}-desc",
    )  # fmt: skip


def _adopted(part: ET.Element, key: str, used: set[str]) -> ET.Element:
    adopted = ET.Element(part.tag.rpartition("}")[2])
    for name, value in part.attrib.items():
        kept = _attribute(name, value, key, used)
        if kept is not None:
            adopted.set("href" if name == _LINK else name, kept)
    text = (part.text or "").strip()
    adopted.text = clean(text) or None
    for child in part:
        if child.tag.rpartition("}")[2] not in _DROPPED:
            adopted.append(_adopted(child, key, used))
    return adopted


def _attribute(name: str, value: str, key: str, used: set[str]) -> str | None:
    if name == "id":
        return f"{key}-{value}" if value in used else None
    if name == "style":
        return _drawn_style(value, key) or None
    if name == "transform" and _TURNED_BY_NOTHING.match(value):
        return None
    if name == "d":
        return " ".join(value.split())
    return _REFERENCE.sub(rf"#{key}-\1", value)


def _drawn_style(style: str, key: str) -> str:
    coloured = _DRAWN.sub(lambda found: f"var(--{COLOURS[int(found[1], 16) - 1]})", _FONT.sub("", style))
    return coloured.replace("url(#", f"url(#{key}-")
