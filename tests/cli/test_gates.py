from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import save_file

from tests.cli.outcome import junit
from tests.cli.project import weights

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.command import Optkit
    from tests.cli.conftest import Run
    from tests.cli.outcome import Attempt
    from tests.cli.project import Project


def test_a_gate_that_cannot_hold_says_by_how_much(attempt: Attempt, project: Project) -> None:
    project.edit(("max_drop: 0.1", "max_drop: 0.1, min: 1.01"))
    said = attempt(project, 3)
    assert "no candidate is approved; nothing was packaged:" in said
    assert "quantize: top1.min 1.01: failed, measured 0.9" in said
    out = project.folder.parent / "out"
    suite = junit(out)
    failures = {case.get("name"): case.find("failure") is not None for case in suite.iter("testcase")}
    assert failures == {"top1.max_drop": False, "top1.min": True}
    (candidate,) = json.loads((out / "report.json").read_text())["candidates"]
    assert candidate["packages"] == {}
    assert not candidate["approved"]


def test_the_report_of_a_refused_run_is_shown(optkit: Optkit, project: Project) -> None:
    project.edit(("max_drop: 0.1", "min: 1.01"))
    done = optkit("optimize", project.recipe, "-o", project.folder.parent / "out", code=3)
    assert "Gates of quantize" in done.out
    assert "refused: 0 of 1 candidates" in done.out


def test_a_regression_is_refused(attempt: Attempt, pytorch: Project) -> None:
    noise = torch.randn(4, 16, generator=torch.Generator().manual_seed(3))
    save_file({**weights(), "second.weight": noise}, pytorch.folder / "weights.safetensors")
    pytorch.edit(("max_drop: 0.1", "max_drop: 0.1, min: 0.9"))
    said = attempt(pytorch, 3)
    assert "quantize: top1.min 0.9: failed, measured 0." in said
    out = pytorch.folder.parent / "out"
    suite = junit(out)
    (failure,) = suite.iter("failure")
    assert (failure.get("message") or "").startswith("failed: missed by 0.")
    assert "limit: >= 0.9\nmeasured: 0." in (failure.text or "")
    assert not list(out.rglob("*.onnx"))
    assert not list(out.rglob("config.pbtxt"))


def test_what_cannot_be_told_is_refused_unless_the_recipe_says_otherwise(optkit: Optkit, project: Project) -> None:
    out = project.folder.parent / "out"
    strict = optkit("optimize", project.recipe, "-o", out, "--set", "gates.top1.max_drop=0.015", code=3)
    assert "top1.max_drop 0.015: inconclusive, measured 0.0" in strict.err
    assert "samples would settle it" in strict.err
    lenient = ("--set", "gates.top1.max_drop=0.015", "--set", "gates.top1.inconclusive=pass")
    optkit("optimize", project.recipe, "-o", out, *lenient)
    assert (out / "triton" / "tiny").is_dir()
    assert "inconclusive" in (out / "MANIFEST.json").read_text()


def test_what_was_not_measured_is_refused_unless_the_recipe_says_otherwise(optkit: Optkit, project: Project) -> None:
    out = project.folder.parent / "out"
    project.edit(
        ("steps: [simplify, quantize]", "target: tensorrt\nsteps: [simplify]"),
        ("gates:", "gates:\n  latency: {min_speedup: 1.5}"),
    )
    assert "latency.min_speedup 1.5: unmeasured" in optkit("optimize", project.recipe, "-o", out, code=3).err
    optkit("optimize", project.recipe, "-o", out, "--set", "gates.latency.unmeasured=pass")
    assert "unmeasured" in (out / "MANIFEST.json").read_text()


def test_no_gates_are_remarked(optkit: Optkit, project: Project) -> None:
    out = project.folder.parent / "out"
    project.edit(("gates:\n  top1: {max_drop: 0.1}\n", ""))
    assert "the recipe has no gates: nothing was demanded of the result" in optkit(
        "optimize", project.recipe, "-o", out
    ).err  # fmt: skip
    assert "no gates" in (out / "summary.md").read_text()


def test_only_approved_candidates_are_packaged(optkit: Optkit, project: Project) -> None:
    project.edit(
        ("quantize]", "quantize, {id: plain, from: simplify, simplify: {}}]"),
        ("top1: {max", "size: {max_ratio: 1.5}\n  top1: {max"),
    )
    out = project.folder.parent / "out"
    done = optkit("optimize", project.recipe, "-o", out, "--json")
    candidates = json.loads((out / "report.json").read_text())["candidates"]
    # A model this small grows when it is quantized.
    assert {each["name"]: each["approved"] for each in candidates} == {"plain": True, "quantize": False}
    assert [path.name for path in (out / "triton").iterdir()] == ["tiny-plain"]
    assert [event["candidate"] for event in done.events if event["event"] == "packaged"] == ["plain"]


def test_the_summary_is_appended_to_the_step_summary_of_ci(optkit: Optkit, project: Project, tmp_path: Path) -> None:
    page = tmp_path / "step-summary.md"
    page.write_text("# before\n")
    ci = optkit.given(GITHUB_STEP_SUMMARY=str(page))
    out = tmp_path / "out"
    ci("optimize", project.recipe, "-o", out)
    approved = (out / "summary.md").read_text()
    ci("optimize", project.recipe, "-o", out, "--set", "gates.top1.min=1.01", code=3)
    refused = (out / "summary.md").read_text()
    text = page.read_text()
    assert text.startswith("# before\n")
    assert text.index(approved.strip()) < text.index(refused.strip())


def test_a_lockfile_beside_the_recipe(optkit: Optkit, project: Project, onnx_run: Run) -> None:
    optkit("optimize", project.recipe, "-o", project.folder.parent / "out", "--lock")
    locked = json.loads((project.folder / "recipe.lock.json").read_text())
    assert {name: step["digest"] for name, step in locked["steps"].items()} == onnx_run.done.digests
    assert locked["versions"]["onnxruntime"]


LIES = (('"refused"', '"approved"'), ('"failed"', '"passed"'), ("false", "true"))


@pytest.mark.parametrize("believed", [(), LIES], ids=["as it is", "edited by hand"])
def test_a_refused_run_is_not_packaged(
    believed: tuple[tuple[str, str], ...], optkit: Optkit, project: Project, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    optkit("optimize", project.recipe, "-o", out, "--set", "gates.top1.min=1.01", code=3)
    text = (out / "report.json").read_text()
    for said, wanted in believed:
        assert said in text
        text = text.replace(said, wanted)
    (out / "report.json").write_text(text)
    assert "holds no approved candidate" in optkit("package", out, "-o", tmp_path / "repository", code=3).err
    assert not (tmp_path / "repository").exists()
    assert "error: " in optkit("verify", out, code=2).err
