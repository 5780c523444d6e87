"""`optkit baseline save` and what `optkit optimize --baseline` says of a later run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.outcome import junit

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.command import Optkit
    from tests.cli.conftest import Run
    from tests.cli.project import Project


@pytest.fixture
def saved(optkit: Optkit, onnx_run: Run, tmp_path: Path) -> Path:
    file = tmp_path / "tiny.baseline.json"
    assert optkit("baseline", "save", onnx_run.folder, "-o", file).out == f"wrote {file}\n"
    return file


def edit(file: Path, change: Any) -> None:  # noqa: ANN401  # a function of JSON
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def test_falling_behind_the_last_release_is_refused_everywhere(optkit: Optkit, project: Project, saved: Path) -> None:
    def was_better(content: Any) -> None:  # noqa: ANN401  # JSON
        released = content["candidates"]["quantize"]
        released["size_bytes"] = 1000
        released["timing"]["speedup"] = dict.fromkeys(("value", "lower", "upper"), 50.0)
        released["timing"]["p50_ms"] = dict.fromkeys(("value", "lower", "upper"), 0.0001)

    edit(saved, was_better)
    out = project.folder.parent / "out"
    done = optkit("optimize", project.recipe, "-o", out, "--baseline", saved, code=3)
    assert "quantize: latency.max_regression 0.1: failed, measured " in done.err
    assert "quantize: size.max_regression 0.01: failed, measured " in done.err
    assert "quantize: refused (size.max_regression failed, latency.max_regression failed)" in done.out
    cases = {case.get("name"): case.find("failure") is not None for case in junit(out).iter("testcase")}
    assert cases["latency.max_regression"]
    assert cases["size.max_regression"]
    assert not cases["memory.max_regression"]
    assert "| size.max\\_regression | \\<= 0.01 |" in (out / "summary.md").read_text()
    (candidate,) = json.loads((out / "report.json").read_text())["candidates"]
    assert {v["gate"]: v["status"] for v in candidate["verdicts"] if v["rule"] == "max_regression"} == {
        "top1": "passed", "size": "failed", "latency": "failed", "memory": "passed",
    }  # fmt: skip
    assert not (out / "triton").exists()


def test_a_baseline_of_another_machine_is_refused_before_anything_runs(
    optkit: Optkit, project: Project, saved: Path
) -> None:
    edit(saved, lambda content: content["machine"].update(cpu="Z80", cores=1))
    run = ("optimize", project.recipe, "-o", project.folder.parent / "out", "--baseline", saved)
    said = optkit(*run, code=2).err
    assert "was measured on another machine class:\n  cpu: Z80 → " in said
    assert "or compare ratios alone with --any-machine" in said
    assert "running" not in said
    assert "simplify: cached" not in said
    lenient = optkit(*run, "--any-machine", "--set", "gates.latency.max_regression=99")
    assert "the baseline is of another machine class, so only ratios are compared: cpu: Z80 → " in lenient.out


def test_a_limit_without_a_baseline_is_remarked(optkit: Optkit, project: Project, tmp_path: Path) -> None:
    done = optkit("optimize", project.recipe, "-o", tmp_path / "out", "--set", "gates.top1.max_regression=0.01")
    assert "there is no --baseline: max_regression is not judged" in done.out
    said = optkit("optimize", project.recipe, "--any-machine", code=2).err
    assert "--any-machine says which baseline files are taken\n  add --baseline FILE" in said
    absent = optkit("optimize", project.recipe, "-o", tmp_path / "out", "--baseline", tmp_path / "absent", code=2).err
    assert "--baseline: " in absent
    assert "cannot be read: No such file or directory" in absent
    assert not (tmp_path / "out" / "triton").exists()
