"""A recipe that chooses among runtimes, from end to end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.cli.outcome import junit
from tests.cli.test_openvino import without_openvino

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.command import Optkit
    from tests.cli.project import Project

BOTH = ("steps:", "targets: [onnxruntime-cpu, openvino-cpu]\nsteps:")


def test_one_candidate_is_kept_and_packaged_again(optkit: Optkit, project: Project, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    project.edit(BOTH)
    done = optkit("optimize", project.recipe, "-o", tmp_path / "out")
    assert "quantize-onnxruntime-cpu kept for min_latency: speed-up " in done.out
    assert "quantize-openvino-cpu cannot be served (triton runs models in onnxruntime" in done.out
    assert done.out.endswith("approved: 2 of 2 candidates, kept quantize-onnxruntime-cpu\n")
    assert "kept for min\\_latency" in (tmp_path / "out" / "summary.md").read_text()
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert [each["timing"]["runtime"] for each in report["candidates"]] == ["onnxruntime", "openvino"]
    assert report["choice"]["kept"] == ["quantize-onnxruntime-cpu"]
    assert len(report["choice"]["machine"]) == 64
    assert [path.name for path in (tmp_path / "out" / "triton").iterdir()] == ["tiny"]
    optkit("package", tmp_path / "out", "-o", tmp_path / "again")
    assert [path.name for path in (tmp_path / "again").iterdir()] == ["tiny"]


def test_an_absent_runtime_is_skipped_and_never_passes(optkit: Optkit, project: Project, tmp_path: Path) -> None:
    project.edit(BOTH)
    hidden = without_openvino(optkit, tmp_path)
    done = hidden("optimize", project.recipe, "-o", tmp_path / "out")
    why = "the runtime openvino needs openvino, which is not installed"
    assert f"openvino-cpu is skipped: {why}" in done.out
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert (report["skipped"], len(report["candidates"])) == ({"openvino-cpu": why}, 1)
    (skipped,) = [case for case in junit(tmp_path / "out").iter("testcase") if case.find("skipped") is not None]
    assert skipped.get("classname") == "openvino-cpu"


def test_all_targets_absent_is_a_missing_dependency(optkit: Optkit, project: Project, tmp_path: Path) -> None:
    project.edit(("steps:", "targets: [openvino-cpu]\nsteps:"), ("package: {triton: {}}\n", ""))
    done = without_openvino(optkit, tmp_path)("optimize", project.recipe, "-o", tmp_path / "out", code=4)
    assert "pip install 'optkit[openvino]'" in done.err
