"""Engines, seen from the command line: built, deferred, packaged, refused."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from optkit.runtimes.cuda import find_gpu

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.command import Optkit
    from tests.cli.conftest import Run
    from tests.cli.project import Project


@pytest.fixture
def engines(project: Project) -> Project:
    """Returns a project whose steps end in an engine of TensorRT-RTX, none of it timed."""
    pytest.importorskip("tensorrt_rtx", reason="optkit[rtx] is not installed", exc_type=ImportError)
    if find_gpu() is not None:
        pytest.skip("there is a GPU")
    project.edit(("[simplify, quantize]", "[simplify, cast, build-engine]\ntarget: tensorrt-rtx"))
    return project


@pytest.mark.heavy
def test_an_engine_is_judged_by_its_graph_and_packaged_as_a_plan(
    optkit: Optkit, engines: Project, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    optkit("optimize", engines.recipe, "-o", out)
    report = json.loads((out / "report.json").read_text())
    (candidate,) = report["candidates"]
    assert candidate["approved"]
    assert candidate["timing"] is None
    assert "needs an NVIDIA GPU" in candidate["untimed"]
    plan = out / "triton" / "tiny" / "1" / "model.plan"
    assert plan.stat().st_size == candidate["size_bytes"]
    assert plan.read_bytes().startswith(b"vtrt")
    assert 'platform: "tensorrt_plan"' in (out / "triton" / "tiny" / "config.pbtxt").read_text()
    assert any("kernels the builder chose was not looked at" in remark for remark in report["remarks"])
    refused = optkit("verify", out, code=4)
    assert "nothing was verified: an engine is verified by a tritonserver with its tensorrt backend" in refused.err
    optkit("package", out, "--for", "triton", "-o", tmp_path / "again")
    assert (tmp_path / "again" / "tiny" / "1" / "model.plan").read_bytes() == plan.read_bytes()


@pytest.mark.heavy
def test_a_deferred_engine_is_a_kit_that_is_never_approved(optkit: Optkit, engines: Project, tmp_path: Path) -> None:
    engines.edit(("build-engine]", "{build-engine: {defer: true}}]"))
    out = tmp_path / "out"
    refused = optkit("optimize", engines.recipe, "-o", out, code=3)
    assert "engine.min 1: unmeasured (its engine is deferred" in refused.err
    assert not (out / "triton").exists()
    kit = out / "build-kits" / "build-engine"
    assert json.loads((kit / "kit.json").read_text())["approved"] is False
    built = [sys.executable, "-W", "ignore", str(kit / "build.py"), "--output", str(tmp_path / "model.plan")]
    assert "sha256" in subprocess.run(built, capture_output=True, text=True, check=True).stdout
    assert (tmp_path / "model.plan").read_bytes().startswith(b"vtrt")
    (kit / "model.onnx").chmod(0o644)
    (kit / "model.onnx").write_bytes(b"another")
    done = subprocess.run(built, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.startswith("model.onnx is not the file that was judged")) == (1, True)


def test_inspect_says_whether_a_graph_is_ready(optkit: Optkit, project: Project) -> None:
    ready = optkit("inspect", project.folder / "model.onnx", "--target", "tensorrt").out
    assert "ready: every node can become part of an engine of tensorrt" in ready
    assert (
        "no engine is built for the target gpu"
        in optkit("inspect", project.folder / "model.onnx", "--target", "gpu", code=2).err
    )


def test_inspect_lists_what_is_refused(optkit: Optkit, onnx_run: Run) -> None:
    model = onnx_run.folder / "triton" / "tiny" / "1" / "model.onnx"  # uint8, as ONNX Runtime wants it
    refused = optkit("inspect", model, "--target", "tensorrt", code=2)
    assert "uint8 is read as int8" in refused.out
    assert "keep the graph from becoming an engine of tensorrt" in refused.err
    found = optkit("inspect", model, "--target", "tensorrt", "--json", code=2).json
    assert {"node", "operator", "source", "reason", "advice", "silent"} == set(found["refusals"][0])


def test_a_library_that_is_absent_is_named_before_any_work(optkit: Optkit, engines: Project) -> None:
    engines.edit(("target: tensorrt-rtx", "target: tensorrt"))
    refused = optkit("optimize", engines.recipe, "-o", engines.folder / "out", code=4)
    assert "tensorrt is not installed" in refused.err
    assert "running" not in refused.err
