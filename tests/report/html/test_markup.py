from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optkit.report.format import clean
from optkit.report.html.markup import Markup, element, escaped, joined
from tests.report.pages import read

TEXTS = st.text(alphabet=st.characters(exclude_categories=[]))


@given(text=TEXTS, value=TEXTS)
def test_any_text_is_read_back_as_it_was(text: str, value: str) -> None:
    page = read(element("p", text, title=value))
    assert page.text == clean(text)
    assert page.attributes == [("p", "title", clean(value))]
    assert page.tags == ["p"]


def test_markup_is_not_escaped_again() -> None:
    inner = element("b", "a & b")
    assert element("p", inner, " < ", inner) == "<p><b>a &amp; b</b> &lt; <b>a &amp; b</b></p>"
    assert escaped(Markup("<i>")) == "<i>"


def test_none_is_left_out() -> None:
    assert element("p", None, "x", None, id=None, class_="c") == '<p class="c">x</p>'
    assert joined(["a", None, "<"], ", ") == "a, &lt;"


@pytest.mark.parametrize(("name", "text"), [("meta", '<meta name="x">'), ("p", '<p name="x"></p>')])
def test_void_elements_have_no_end(name: str, text: str) -> None:
    assert element(name, name="x") == text


def test_attributes_of_two_words() -> None:
    assert element("p", aria_label="x", http_equiv="y") == '<p aria-label="x" http-equiv="y"></p>'
