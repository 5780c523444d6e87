"""Contrast of the page's colours, as WCAG 2.2 measures it."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

CSS = files("optkit.report.html").joinpath("style.css").read_text(encoding="utf-8")
LIGHT, DARK = (dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", part)) for part in CSS.split("@media (prefers", 1))
PAIRS = [
    *((text, below) for text in ("ink", "muted") for below in ("page", "surface", "sunken")),
    *((tone, f"{tone}-tint") for tone in ("good", "bad", "warn")),
    *((tone, below) for tone in ("good", "bad", "warn") for below in ("surface", "sunken")),
    *(("surface", below) for below in ("good", "bad", "series-1")),
    ("link", "page"),
]


def luminance(colour: str) -> float:
    shares = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(first: str, second: str) -> float:
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
def test_text_can_be_read(scheme: dict[str, str]) -> None:
    ratios = {pair: contrast(scheme[pair[0]], scheme[pair[1]]) for pair in PAIRS}
    assert {pair: ratio for pair, ratio in ratios.items() if ratio < 4.5} == {}


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
def test_series_stand_out_from_the_page(scheme: dict[str, str]) -> None:
    assert min(contrast(scheme[f"series-{index}"], scheme["surface"]) for index in range(7)) >= 3


def test_the_measure_is_that_of_the_standard() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)
