"""What `optkit load` prints and how it exits."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from optkit.cli import group
from optkit.cli.failures import run_safely

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.serving.load.conftest import Doubling

    Optkit = Callable[..., tuple[int, str, str]]

QUICK = ("--seconds", "0.2", "--concurrency", "1,2")


@pytest.fixture
def optkit(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Optkit:
    """Runs a command in this process; returns its exit code and what it printed."""

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["optkit", *map(str, arguments)])
        code = run_safely(group)
        return (code, *capfd.readouterr())

    return run


def test_a_row_for_each_level_and_a_word_on_the_knee(optkit: Optkit, doubling: Doubling, run: Path) -> None:
    code, out, err = optkit("load", doubling.url, "--run", run, *QUICK)
    assert code == 0
    first, header, *rest = out.splitlines()
    rows, words = rest[:2], rest[2:]  # on a busy machine there may be a word on that too
    assert first == "double on doubling 1: 6 different requests of 1 sample, json tensors"
    assert header.split()[:3] == ["concurrency", "requests", "samples"]
    assert [row.split()[0] for row in rows] == ["1", "2"]
    assert words[0].startswith(("knee at 1: ", "no knee: "))
    assert err.splitlines()[-1] == "each of 6 requests was asked once, alone"


def test_wrong_answers_exit_6_after_the_table(optkit: Optkit, doubling: Doubling, run: Path) -> None:
    doubling.misbehave = lambda handler, number: number > 8 and handler.double(3)
    code, out, err = optkit("load", doubling.url, "--run", run, *QUICK, "--json")
    assert code == 6
    report = json.loads(out)
    assert report["levels"][0]["wrong"] > 0
    assert report["levels"][0]["mean_ms"] is None
    assert (report["knee"], report["untried"]) == (None, [2])
    assert "double: " in err
    assert "output 'y' is off by" in err
    assert "nothing was answered rightly any more: concurrency 2 was not tried" in err


def test_another_machine_exits_2(optkit: Optkit, run: Path) -> None:
    code, out, err = optkit("load", "http://192.0.2.1:8000", "--run", run)
    assert (code, out) == (2, "")
    assert "192.0.2.1 is not this machine" in err
    assert "--allow-remote" in err


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_without_tritonclient_it_exits_4(
    protocol: str, optkit: Optkit, doubling: Doubling, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, f"tritonclient.{protocol}", None)
    code, out, err = optkit("load", doubling.url, "--protocol", protocol, "--run", run)
    assert (code, out) == (4, "")
    assert f"needs tritonclient[{protocol}]" in err
    assert "optkit[triton]" in err
