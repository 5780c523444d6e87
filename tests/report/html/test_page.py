from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from math import inf, nan
from typing import TYPE_CHECKING

import matplotlib as mpl
import pytest

from optkit.core.gates import Estimate
from optkit.core.results import Choice, SweepPoint
from optkit.report.html.page import SECTIONS, failure_page, page
from optkit.report.html.sections.overview import banner
from tests.report.conftest import approved_run, timing, top1, with_candidates, with_notes, with_sweep
from tests.report.pages import read

if TYPE_CHECKING:
    from optkit.core.results import RunReport
    from tests.report.pages import Page

HOSTILE = (
    "</title><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</style><svg/onload=alert(1)> ${x} $\\frac{",
    "\x00\x1b[31m\u202eevil\ud800\uffff 猫 🐈",
    "wide" * 500,
    "a\nb\tc&amp;",
)
_HTML = (
    "html head meta title link style body header nav main footer section article aside div span p h1 h2 h3 ul li a "
    "figure figcaption table caption thead tbody tr th td details summary dl dt dd pre code"
)
_SVG = "svg g path defs use text desc rect clippath pattern"
ALLOWED = frozenset(f"{_HTML} {_SVG}".split(" "))
ANCHORS = {
    "choice", "accuracy", "slices", "latency", "throughput", "sweep", "profile", "size", "layers", "calibration",
    "graph", "steps", "reproduce", "provenance",
}  # fmt: skip


@pytest.fixture(scope="module")
def whole() -> str:
    """The page of a run that has something for every section."""
    return page(with_sweep(with_notes(with_candidates(approved_run()))))


def sections(found: Page) -> set[str]:
    return {value for tag, name, value in found.attributes if (tag, name) == ("section", "id")}


def check_inert(found: Page) -> None:
    """Checks that a page holds what we write and nothing that a name brought in."""
    assert set(found.tags) <= ALLOWED
    assert not [name for _, name, _ in found.attributes if name.startswith("on")]
    assert all(value.startswith(("#", "data:,")) for name in ("href", "src") for value in found.values(name))


def test_every_section_is_there_and_linked(whole: str) -> None:
    found = read(whole)
    links = {value[1:] for tag, name, value in found.attributes if (tag, name) == ("a", "href")}
    assert links == sections(found) == ANCHORS
    assert len(SECTIONS) == len(ANCHORS)


def test_equal_reports_give_equal_bytes_whatever_the_users_settings(whole: str) -> None:
    with mpl.rc_context({"lines.linewidth": 9, "font.size": 30, "svg.fonttype": "path", "axes.grid": False}):
        assert page(with_sweep(with_notes(with_candidates(approved_run())))) == whole


def test_the_page_needs_nothing_else(whole: str) -> None:
    check_inert(read(whole))
    assert not re.findall(r"url\((?!#)|@import|https?:(?!//www\.w3\.org)", whole)


def test_names_of_elements_are_unique_and_referred_to(whole: str) -> None:
    found = read(whole)
    names = found.values("id")
    assert len(names) == len(set(names))
    referred = {name for value in found.values("aria-labelledby") for name in value.split()}
    referred |= set(re.findall(r"(?:url\(|href=\")#([\w-]+)", whole))
    assert referred <= set(names)


def test_the_policy_allows_our_style_sheet_alone(whole: str) -> None:
    style = re.search(r"<style>(.*?)</style>", whole, re.DOTALL)
    assert style is not None
    assert whole.count("<style") == 1
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    (policy,) = (value for _, name, value in read(whole).attributes if name == "content" and "default-src" in value)
    assert f"style-src-elem 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; ")
    assert "script" not in policy


def test_figures_say_what_they_show_and_take_the_pages_colours(whole: str) -> None:
    figures = re.findall(r"<svg.*?</svg>", whole, re.DOTALL)
    assert len(figures) >= 10
    for each in figures:
        assert re.match(r'<svg viewBox="[\d. ]+" role="img" aria-labelledby="[\w -]+"><title .*?</title><desc ', each)
        assert not re.search(r"#0000|rgb\(|fill: #|font-family", each)
        assert "var(--" in each


def test_what_quantize_noted_is_shown(whole: str) -> None:
    text = read(whole).text
    for said in (
        "12.2 dB", "2.4 %", "label=half", "no <scale>", "model.py:14", "gelu: 2 fused", "no-ops: 5 nodes removed",
        "attention left out: slower", "optkit optimize recipe.yaml --set steps.int8.ranges=kl", "a" * 64,
    ):  # fmt: skip
        assert said in text


def test_a_sweep_shows_the_settings_that_no_other_beats(approved: RunReport) -> None:
    found = read(page(with_sweep(approved)))
    assert "All 24 settings" in found.text
    assert "Throughput against p99 latency" in found.text
    point = SweepPoint(8, 1, 2, 400.0, 2.0, None, None, None)
    slower, odd = replace(point, throughput=300.0, threads=2), replace(point, p50_ms=nan)
    timed = replace(approved.candidates[0], timing=replace(timing("onnxruntime", 1.0, 1), sweep=(point, slower, odd)))
    few = read(page(replace(approved, candidates=(timed,))))
    assert "All 2 settings" in few.text
    assert "p99 latency" not in few.text


@pytest.mark.parametrize("first", [0, 3])
def test_hostile_names_stay_text(first: int) -> None:
    names = HOSTILE[first:] + HOSTILE[:first]
    report = with_notes(with_candidates(approved_run(), (names[0], names[1], names[2])), names[3])
    step = replace(report.steps[1], name=names[4], pass_name=names[5], options={names[1]: names[0]})
    metric = replace(report.candidates[0].metrics[0], name=names[4])
    renamed = replace(report.candidates[0], metrics=(metric,), untimed=names[2], packages={names[1]: names[2]})
    versions = {names[0]: names[1], "optkit": names[2]}
    hostile = replace(
        report, recipe=names[0], remarks=names, command=("optkit", "optimize", names[1]),
        steps=(report.steps[0], step), candidates=(renamed, *report.candidates[1:]), started=names[3],
        baseline=replace(report.baseline, name=names[2]),
        provenance=replace(report.provenance, cpu=names[3], cpu_flags=names, versions=versions, python=names[0]),
    )  # fmt: skip
    text = page(hostile)
    check_inert(read(text))
    assert "alert(1)" in text
    text.encode()


def test_numbers_that_are_none_break_nothing(refused: RunReport) -> None:
    first = refused.candidates[0]
    odd = replace(timing("torch", 1.0, 1 << 20), samples_ms=((nan, inf), (), (0.0, -1.0)), throughput={1: nan, 2: 0.0})
    half = replace(top1(), drop=Estimate(0.01, -inf, nan))
    broken = replace(first, timing=odd, metrics=(*first.metrics, replace(half, name="half")), size_bytes=0)
    bare = replace(refused, candidates=(broken, *refused.candidates[1:]), steps=())
    found = read(page(bare))
    assert sections(found) == {"choice", "accuracy", "latency", "throughput", "profile", "provenance"}
    assert "Refused" in found.text


NOTES: list[object] = [
    None,
    3,
    "text",
    [3, None],
    {"a": 1},
    [{"tensor": 3, "sqnr_db": "x", "histogram": [nan]}],
    [{}],
    [],
]


@pytest.mark.parametrize("note", NOTES)
def test_notes_of_another_form_break_nothing(approved: RunReport, note: object) -> None:
    names = ("layers", "ranges", "fuse", "simplify", "int8_nodes")
    step = replace(approved.steps[1], notes=dict.fromkeys(names, note), operators={"Conv": 1})
    untimed = replace(approved.candidates[0], timing=None, metrics=())
    bare = replace(approved, candidates=(untimed,), baseline=replace(approved.baseline, timing=None))
    check_inert(read(page(replace(bare, steps=(step,)))))


def test_a_section_without_data_is_not_there(approved: RunReport) -> None:
    untimed = replace(approved.candidates[0], timing=None, speedup=None, untimed="no device", metrics=())
    baseline = replace(approved.baseline, timing=None)
    found = read(page(replace(approved, candidates=(untimed,), baseline=baseline)))
    assert sections(found) == {"steps", "provenance"}
    assert "quantize was not timed: no device" in found.text


def test_a_large_run_stays_small(approved: RunReport) -> None:
    report = with_notes(approved)
    notes = dict(report.steps[1].notes)
    notes["layers"] = [note | {"tensor": f"tensor_{index}" * 4} for index in range(70) for note in notes["layers"]]
    counts = list(range(64))
    notes["ranges"] = [notes["ranges"][0] | {"tensor": f"t{index}" * 9, "histogram": counts} for index in range(800)]
    slow = tuple(tuple(1.0 + (run * 7919 % 100) / 100 for run in range(400)) for _ in range(60))
    many = replace(report.candidates[0], timing=replace(timing("onnxruntime", 1.0, 1), samples_ms=slow))
    steps = (report.steps[0], replace(report.steps[1], notes=notes))
    assert len(page(replace(report, steps=steps, candidates=(many,)))) < 2 << 20


def test_what_was_chosen_is_said(approved: RunReport) -> None:
    choice = Choice("latency", ("int8",), "int8 is the fastest", {"half": "1.8 times as slow <x>"}, "f" * 64)
    text = read(page(replace(with_candidates(approved), choice=choice))).text
    assert "2 of 3 candidates hold every gate that the recipe insists on; int8 is the fastest." in text
    assert "not kept: 1.8 times as slow <x>" in text


def test_a_failure_has_a_page_of_its_own() -> None:
    found = read(failure_page(HOSTILE[0], "export: <b>line</b>\nof the log", HOSTILE[1]))
    check_inert(found)
    assert "export: <b>line</b>\nof the log" in found.text
    assert "What to do" in found.text
    assert "What to do" not in read(failure_page("x", "y", "")).text


def test_the_first_sentence_tells_a_pass_from_what_was_let_pass(
    approved: RunReport, accepting: RunReport, refused: RunReport
) -> None:
    without = replace(approved, candidates=(replace(approved.candidates[0], verdicts=()),))
    missed = replace(refused, candidates=refused.candidates[:1])
    sentences = {
        "The candidate holds every gate.": approved,
        "The candidate holds every gate that the recipe insists on.": accepting,
        "1 of 2 candidates holds every gate.": refused,
        "The candidate misses a gate: nothing was packaged.": missed,
        "No gate was set: nothing was demanded.": without,
    }
    for sentence, report in sentences.items():
        assert sentence in banner(report)
