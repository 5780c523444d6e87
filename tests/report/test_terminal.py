from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from optkit.report.terminal import render

if TYPE_CHECKING:
    from optkit.core.results import RunReport

Golden = Callable[[str, str], None]
ANSI = re.compile(r"\x1b\[[0-9;]*m")


def plain(report: RunReport, width: int = 40) -> str:
    file = io.StringIO()
    render(report, Console(file=file, width=width), Path("out"))
    return file.getvalue()


def drawn(report: RunReport, width: int = 200) -> str:
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=True, color_system="standard", legacy_windows=False)
    render(report, console, Path("out"))
    return file.getvalue()


@pytest.mark.parametrize("name", ["approved", "accepting", "refused"])
def test_golden(request: pytest.FixtureRequest, golden: Golden, name: str) -> None:
    golden(f"{name}.txt", plain(request.getfixturevalue(name)))


@pytest.mark.parametrize("name", ["approved", "accepting", "refused"])
def test_plain_output_is_ascii_whole_and_without_escapes(request: pytest.FixtureRequest, name: str) -> None:
    text = plain(request.getfixturevalue(name))
    assert text.isascii()
    assert "\x1b" not in text
    assert "…" not in text
    assert all(line == line.rstrip() for line in text.splitlines())


def test_plain_output_does_not_depend_on_the_width(refused: RunReport) -> None:
    assert plain(refused, 20) == plain(refused, 400)


def test_plain_tables_can_be_parsed(approved: RunReport) -> None:
    lines = plain(approved).splitlines()
    rows = [re.split(r" {2,}", line) for line in lines if line.startswith(("latency", "throughput", "size  ", "top1 "))]
    assert {len(row) for row in rows} == {4}
    assert ["size", "1.56 MiB (fp32 ONNX)", "437.50 KiB", "0.27x"] in rows


def test_the_outcome_comes_last(approved: RunReport, refused: RunReport) -> None:
    assert plain(approved).splitlines()[-1] == "approved: 1 of 1 candidates"
    assert plain(refused).splitlines()[-1] == "refused: 1 of 2 candidates"


def test_packages_are_shown_below_the_output_folder(approved: RunReport, refused: RunReport) -> None:
    assert "triton package of quantize: out/triton\n" in plain(approved)
    assert "package of gpu" not in plain(refused)


def test_what_the_recipe_let_pass_is_stated(accepting: RunReport) -> None:
    assert "approved, the recipe accepting top1.max_drop inconclusive, latency.min_speedup unmeasured" in plain(
        accepting
    )


def test_colour_never_speaks_alone(refused: RunReport) -> None:
    text = drawn(refused)
    for shown in ("✓ passed", "✗ failed", "? inconclusive", "∅ unmeasured"):
        assert re.search(rf"\x1b\[[0-9;]+m{re.escape(shown)}", text)
    assert len({found[1] for found in re.finditer(r"\x1b\[([0-9;]+)m[✓✗?∅] ", text)}) == 4


def test_names_are_no_markup_and_no_escape_sequences(refused: RunReport) -> None:
    text = drawn(refused)
    assert "gpu [bold]|*x*\\x1b[31m" in text
    assert "\x1b" not in ANSI.sub("", text)


@pytest.mark.parametrize("width", [40, 80])
def test_a_narrow_terminal_folds_and_loses_nothing(approved: RunReport, width: int) -> None:
    lines = ANSI.sub("", drawn(approved, width)).splitlines()
    assert "…" not in "".join(lines)
    tables = [line for line in lines if "  " in line.strip()]
    assert len(tables) > 10
    assert max(map(len, tables)) <= width


def test_a_narrow_terminal_gets_a_table_per_candidate(refused: RunReport) -> None:
    narrow, wide = (ANSI.sub("", drawn(refused, width)) for width in (80, 300))
    assert "Baseline against cpu" in narrow
    assert "Baseline against candidates" not in narrow
    assert "Baseline against candidates" in wide
    assert narrow.count("peak memory") == 2 * wide.count("peak memory") == 2


def test_a_terminal_without_unicode_gets_words(approved: RunReport) -> None:
    file = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    render(approved, Console(file=file, width=120, force_terminal=True), Path("out"))
    file.flush()
    buffer = file.buffer
    assert isinstance(buffer, io.BytesIO)
    assert b"passed" in buffer.getvalue()


def test_a_run_without_gates_metrics_or_timings(approved: RunReport) -> None:
    first = replace(approved.candidates[0], verdicts=(), metrics=(), timing=None, speedup=None, packages={})
    bare = replace(approved, candidates=(first,), baseline=replace(approved.baseline, timing=None))
    text = plain(bare)
    assert "quantize was not timed: no reason was given" in text
    assert "quantize: approved, no gate was set" in text
    assert "Gates of" not in text
