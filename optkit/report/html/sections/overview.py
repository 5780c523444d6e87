"""The verdict, and each candidate with the figures and gates that it rests on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from optkit.core.gates import Status
from optkit.report import format as show
from optkit.report.headline import caveats
from optkit.report.html.blocks import bullets, folded, table, without_empty
from optkit.report.html.markup import Markup, element, joined
from optkit.report.judgement import decision, remark
from optkit.report.tables import VERDICT_COLUMN, Sheet, comparison, untimed, verdicts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from optkit.core.gates import Verdict
    from optkit.core.results import CandidateResult, Choice, MetricResult, RunReport, Timing

_TILES, _CAVEATS = 2, 12
"""Metrics that are shown large, and lines on what was let pass."""


def banner(report: RunReport) -> Markup:
    """Returns the verdict of the run."""
    good = report.outcome == "approved"
    optkit = report.provenance.versions.get("optkit")
    about = [
        report.started.replace("T", " ").replace("+00:00", " UTC").replace("Z", " UTC"),
        f"took {show.seconds(report.seconds)}",
        report.provenance.cpu,
        f"optkit {optkit}" if optkit else None,
    ]
    return element(
        "header",
        element("p", "optkit report"),
        element(
            "h1",
            element("span", "✓" if good else "✗", class_="mark", aria_hidden="true"),
            element("span", f"{report.outcome.capitalize()}: ", class_="outcome"),
            element("span", report.recipe, class_="name"),
        ),
        element("p", _sentence(report), class_="sentence"),
        element("p", joined((element("span", text) for text in about if text), " "), class_="about"),
        class_=f"banner {'good' if good else 'bad'}",
    )


def overview(report: RunReport) -> Markup:
    """Returns the candidates, what was remarked, and the comparison with the baseline."""
    notes = [*untimed(report), *map(show.one_line, report.remarks)]
    return joined([
        *(_card(candidate, report.baseline.timing, report.choice) for candidate in report.candidates),
        element("aside", element("h2", "Remarks"), bullets(notes), class_="remarks") if notes else None,
        folded("Baseline against candidates, in numbers", table(comparison(report), "Baseline against candidates")),
    ])  # fmt: skip


def _sentence(report: RunReport) -> str:
    approved = [candidate for candidate in report.candidates if candidate.approved]
    total, lenient = len(report.candidates), any(True for candidate in approved for _ in caveats(candidate))
    holds = f"{'holds' if len(approved) == 1 else 'hold'} every gate{' that the recipe insists on' if lenient else ''}"
    if report.choice is not None:
        return f"{len(approved)} of {total} candidates {holds}; {show.one_line(report.choice.why)}."
    if not any(candidate.verdicts for candidate in report.candidates):
        return "No gate was set: nothing was demanded."
    if not approved:
        who = "The candidate misses a gate" if total == 1 else f"None of {total} candidates holds every gate"
        return f"{who}: nothing was packaged."
    return f"{'The candidate' if total == 1 else f'{len(approved)} of {total} candidates'} {holds}."


def _card(candidate: CandidateResult, base: Timing | None, choice: Choice | None) -> Markup:
    tone, word = ("good", "approved") if candidate.approved else ("bad", "refused")
    runtime = f" in {candidate.timing.runtime}" if candidate.timing else ""
    why = choice.left_out.get(candidate.name) if choice else None
    left_out = [f"not kept: {show.one_line(why)}"] if why else []
    packages = [f"{emitter} package: {path}" for emitter, path in candidate.packages.items()]
    return element(
        "article",
        element(
            "div",
            element("h2", candidate.name),
            element("span", word, class_=f"badge {tone}"),
            element("span", "kept", class_="badge good") if choice and candidate.name in choice.kept else None,
            element("span", f"for {candidate.target}{runtime}", class_="muted"),
            class_="title",
        ),
        element("div", *_tiles(candidate, base), class_="tiles"),
        _gates(candidate) if candidate.verdicts else None,
        None if candidate.verdicts else element("p", "No gate was set: nothing was demanded.", class_="muted"),
        bullets([*left_out, *_accepted(candidate), *packages]),
        class_=f"card {tone}",
    )


def _accepted(candidate: CandidateResult) -> list[str]:
    lines = [f"accepted without having passed: {line}" for line in caveats(candidate)]
    more = [f"{len(lines) - _CAVEATS} more were accepted without having passed"] if len(lines) > _CAVEATS else []
    return lines[:_CAVEATS] + more


def _gates(candidate: CandidateResult) -> Markup:
    """Returns the gates, the verdict before the numbers: a phone shows no more without scrolling."""
    sheet = without_empty(verdicts(candidate))
    order = [0, VERDICT_COLUMN, *(index for index in range(1, len(sheet.header)) if index != VERDICT_COLUMN)]
    lines = (replace(row, cells=tuple(row.cells[index] for index in order)) for row in sheet.rows)
    turned = Sheet(tuple(sheet.header[index] for index in order), tuple(lines))
    return table(turned, f"Gates of {candidate.name}")


def _tiles(candidate: CandidateResult, base: Timing | None) -> Iterator[Markup]:
    for metric in candidate.metrics[:_TILES]:
        value, _, bounds = show.interval(metric.candidate, metric.kind).partition(" [")
        yield _tile(candidate, metric.name, metric.name, value, f"[{bounds}", _lost(metric))
    if candidate.speedup is not None and candidate.timing is not None:
        low, high = show.ratio(candidate.speedup.lower), show.ratio(candidate.speedup.upper)
        median = show.milliseconds(candidate.timing.p50_ms)
        yield _tile(
            candidate, "latency", "speed-up", _times(candidate.speedup.value), f"[{low}, {high}]", f"p50 {median}"
        )
        ratio = show.quotient(candidate.timing.peak_rss_bytes, base.peak_rss_bytes if base else None)
        if ratio is not None:
            yield _tile(candidate, "memory", "peak memory", _times(ratio), show.size(candidate.timing.peak_rss_bytes))
    yield _tile(candidate, "size", "size", _times(candidate.size_ratio), show.size(candidate.size_bytes))


def _lost(metric: MetricResult) -> str:
    return show.drop(metric).partition(" [")[0]


def _times(value: float) -> str:
    return show.ratio(value).replace("x", "\N{MULTIPLICATION SIGN}")


def _tile(candidate: CandidateResult, gate: str, label: str, value: str, *details: str) -> Markup:
    judged = [verdict for verdict in candidate.verdicts if verdict.gate == gate]
    missed = [verdict for verdict in judged if not verdict.accepted]
    doubtful = [verdict for verdict in judged if verdict.status is not Status.PASSED]
    tone = "bad" if missed else "warn" if doubtful else "good" if judged else "none"
    said = missed or doubtful
    return element(
        "div",
        element("span", label, class_="label"),
        element("span", value, class_="number"),
        *(element("span", detail, class_="detail") for detail in details),
        element("span", _why(said[0]), class_="why") if said else None,
        class_=f"tile {tone}",
    )


def _why(verdict: Verdict) -> str:
    return ": ".join(part for part in (verdict.slice, decision(verdict), remark(verdict)) if part)
