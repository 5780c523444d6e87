"""The page as a real browser shows it; where none is installed there is nothing to ask."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from optkit.report.html.page import failure_page, page
from tests.report.browser import NAME, Browser
from tests.report.conftest import approved_run, with_candidates, with_notes, with_sweep

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.heavy, pytest.mark.skipif(NAME is None, reason="no Chromium is installed")]
LONG = "a_tensor/with/a/name/that/no/phone/is/wide/enough/for" * 3
CLIPPED = """
[...document.querySelectorAll('main *')]
    .filter(each => each.getBoundingClientRect().right > innerWidth + 1 && !each.closest('.scroll, svg'))
    .map(each => each.outerHTML.slice(0, 200))
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all of it."""
    started = Browser.start(tmp_path_factory.mktemp("profile"))
    yield started
    started.stop()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Pages by name."""
    folder = tmp_path_factory.mktemp("pages")
    rich = with_sweep(with_notes(with_candidates(approved_run(), ("int8", LONG, "int4")), LONG))
    texts = {"rich": page(rich), "failed": failure_page(LONG, LONG, LONG)}
    for name, text in texts.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in texts}


@pytest.mark.parametrize("name", ["rich", "failed"])
@pytest.mark.parametrize("width", [360, 1280])
def test_it_fits_and_asks_for_nothing(browser: Browser, files: dict[str, Path], name: str, width: int) -> None:
    browser.open(files[name], width, "light")
    browser.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    assert browser.complaints() == []
    assert browser.requests() == []
    assert browser.evaluate("document.documentElement.scrollWidth") == width
    assert browser.evaluate(CLIPPED) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_follow_the_scheme(browser: Browser, files: dict[str, Path], scheme: str) -> None:
    browser.open(files["rich"], 1280, scheme)
    colour = "getComputedStyle(document.querySelector('{}')).{}"
    paper = brightest(browser.evaluate(colour.format("body", "backgroundColor")))
    text = brightest(browser.evaluate(colour.format("svg text", "fill")))
    assert (paper > 230 and text < 130) if scheme == "light" else (paper < 60 and text > 150)


def brightest(colour: str) -> int:
    """Returns the largest part of a colour such as rgb(1, 2, 3)."""
    return max(map(int, colour[4:-1].split(",")))


def test_a_script_would_not_run(browser: Browser, files: dict[str, Path]) -> None:
    text = files["rich"].read_text(encoding="utf-8")
    injected = files["rich"].with_name("injected.html")
    injected.write_text(text.replace("<body>", "<body><script>document.title = 'run'</script>"), encoding="utf-8")
    browser.open(injected, 1280, "light")
    assert browser.evaluate("document.title") != "run"
    assert any("Content Security Policy" in each for each in browser.complaints())
