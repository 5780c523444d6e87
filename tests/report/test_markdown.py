from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from optkit.core.errors import UsageError
from optkit.report.markdown import append_step_summary, summary

if TYPE_CHECKING:
    from pathlib import Path

    from optkit.core.results import RunReport

Golden = Callable[[str, str], None]


@pytest.mark.parametrize("name", ["approved", "accepting", "refused"])
def test_golden(request: pytest.FixtureRequest, golden: Golden, name: str) -> None:
    golden(f"{name}.md", summary(request.getfixturevalue(name)))


def test_the_verdict_comes_first(approved: RunReport, refused: RunReport) -> None:
    assert summary(approved).startswith("## ✅ recipe.yaml approved: 1 of 1 candidates\n")
    assert summary(refused).startswith("## ❌ recipe.yaml refused: 1 of 2 candidates\n")


@pytest.mark.parametrize("name", ["approved", "accepting", "refused"])
def test_every_table_is_rectangular(request: pytest.FixtureRequest, name: str) -> None:
    for block in summary(request.getfixturevalue(name)).split("\n\n"):
        rows = [line.replace("\\|", "") for line in block.splitlines() if line.startswith("|")]
        assert len({row.count("|") for row in rows}) <= 1


def test_names_cannot_inject_markup(refused: RunReport) -> None:
    evil = "<script>|`x` [a](b)\n# title"
    first = replace(refused.candidates[0], name=evil, untimed=evil)
    text = summary(replace(refused, candidates=(first,), remarks=(evil,)))
    assert "<script>" not in text.replace("\\<script>", "")
    assert "\n# title" not in text
    assert "[a](b)" not in text


def test_what_the_recipe_let_pass_is_stated(approved: RunReport, accepting: RunReport) -> None:
    assert "Accepted without having passed" not in summary(approved)
    text = summary(accepting)
    assert "latency.min\\_speedup: unmeasured, accepted by the recipe (there is no GPU here)" in text


def test_nothing_optional_leaves_an_empty_block(approved: RunReport) -> None:
    first = replace(approved.candidates[0], verdicts=(), packages={}, metrics=(), timing=None, speedup=None)
    baseline = replace(approved.baseline, timing=None)
    bare = replace(approved, baseline=baseline, candidates=(first,), steps=(), remarks=())
    text = summary(bare)
    assert "No gate was set." in text
    assert "\n\n\n" not in text


def test_step_summary_is_appended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "summary.md"
    path.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(path))
    assert append_step_summary("one ✅\n")
    assert append_step_summary("two\n")
    assert path.read_text(encoding="utf-8") == "before\none ✅\ntwo\n"


@pytest.mark.parametrize("value", [None, ""])
def test_step_summary_outside_ci(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    if value is not None:
        monkeypatch.setenv("GITHUB_STEP_SUMMARY", value)
    assert not append_step_summary("text")


def test_step_summary_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path))
    with pytest.raises(UsageError, match="GITHUB_STEP_SUMMARY names"):
        append_step_summary("text")
