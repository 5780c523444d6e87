from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.command import Optkit
    from tests.cli.conftest import Run
    from tests.cli.project import Project

EVERY_STEP = {
    "calibration apart from evaluation", "import", "simplify", "quantize", "baseline on evaluation",
    "quantize on evaluation", "requests for quantize",
}  # fmt: skip


def rebuilt(optkit: Optkit, project: Project, *arguments: str | Path) -> set[str]:
    """Optimizes again and returns the steps that were not cached."""
    done = optkit("optimize", project.recipe, "-o", project.folder.parent / "out", "--json", *arguments)
    assert set(done.cached) == EVERY_STEP
    return {step for step, cached in done.cached.items() if not cached}


def test_nothing_is_rebuilt(optkit: Optkit, project: Project, onnx_run: Run) -> None:
    done = optkit("optimize", project.recipe, "-o", project.folder.parent / "out", "--json")
    assert set(done.cached) == EVERY_STEP
    assert all(done.cached.values())
    assert done.digests == onnx_run.done.digests


def test_nothing_of_a_pytorch_model_is_rebuilt(optkit: Optkit, pytorch: Project) -> None:
    done = optkit("optimize", pytorch.recipe, "-o", pytorch.folder.parent / "out", "--json")
    assert all(done.cached.values())
    assert "export" in done.cached


def test_a_changed_gate_rebuilds_nothing(optkit: Optkit, project: Project) -> None:
    project.edit(("max_drop: 0.1", "max_drop: 0.2, min: 0.5"))
    assert rebuilt(optkit, project) == set()


def test_changed_packaging_rebuilds_nothing(optkit: Optkit, project: Project) -> None:
    project.edit(("triton: {}", "triton: {instance_count: 2}"))
    assert rebuilt(optkit, project) == set()
    config = project.folder.parent / "out" / "triton" / "tiny" / "config.pbtxt"
    assert "count: 2" in config.read_text()


def test_a_comment_rebuilds_nothing(optkit: Optkit, project: Project) -> None:
    project.recipe.write_text("# mine\n" + project.recipe.read_text())
    assert rebuilt(optkit, project) == set()


def test_changed_samples_rebuild_from_quantize_on_and_plan_says_why(copied: Optkit, project: Project) -> None:
    project.edit(("dataset: calibration.npz", "dataset: calibration.npz, samples: 16"))
    why = copied("plan", project.recipe, "--explain", "quantize").out.splitlines()
    assert why[0] == "calibration samples: nothing → 16"
    assert why[1].startswith("input calibration: ")
    assert len(why) == 2
    states = {step["name"]: step["state"] for step in copied("plan", project.recipe, "--json").json}
    assert states == {"import": "cached", "simplify": "cached", "quantize": "build"}
    assert rebuilt(copied, project) == {
        "calibration apart from evaluation", "quantize", "quantize on evaluation", "requests for quantize",
    }  # fmt: skip
    assert copied("plan", project.recipe, "--explain", "quantize").out == "quantize is cached\n"


def test_a_changed_option_says_so(optkit: Optkit, project: Project) -> None:
    why = optkit("plan", project.recipe, "--explain", "quantize", "--set", "steps.quantize.per_channel=false").out
    assert why == "option per_channel: True → False\n"


def test_there_is_no_step_to_explain(optkit: Optkit, project: Project) -> None:
    assert "did you mean 'quantize'?" in optkit("plan", project.recipe, "--explain", "quantise", code=2).err


@pytest.mark.heavy
def test_code_that_changes_nothing_stops_at_the_step_that_reads_it(pytorch: Project, copied: Optkit) -> None:
    (pytorch.folder / "model.py").write_text((pytorch.folder / "model.py").read_text() + "\n# The end.\n")
    done = copied("optimize", pytorch.recipe, "-o", pytorch.folder.parent / "out", "--json")
    assert {step for step, cached in done.cached.items() if not cached} == {"export", "baseline on evaluation"}


def object_of(optkit: Optkit, digest: str) -> Path:
    """Returns the folder of an object."""
    return optkit.store / "objects" / digest[:2] / digest


@pytest.mark.parametrize("step", ["quantize", "import", "baseline on evaluation", "requests for quantize"])
def test_a_flipped_byte_is_found_and_built_again(step: str, copied: Optkit, project: Project, onnx_run: Run) -> None:
    digest = onnx_run.done.digests[step]
    victim = max(object_of(copied, digest).rglob("*"), key=lambda path: path.stat().st_size)
    whole = victim.read_bytes()
    victim.chmod(0o644)
    victim.write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
    out = project.folder.parent / "out"
    done = copied("optimize", project.recipe, "-o", out, "--json")
    damaged = [event for event in done.events if event["event"] == "object-damaged"]
    assert [(event["step"], event["digest"]) for event in damaged] == [(step, digest)]
    assert victim.read_bytes() == whole
    assert done.digests == onnx_run.done.digests
    assert (out / "triton" / "tiny" / "1" / "model.onnx").is_file()


def test_a_damaged_source_is_copied_in_again(copied: Optkit, project: Project) -> None:
    for path in copied.store.glob("objects/*/*/*.npz"):
        path.chmod(0o644)
        path.write_bytes(b"not an archive")
    project.edit(("quantize]", "quantize: {ranges: percentile, percentile: 95}]"))
    assert rebuilt(copied, project) == {"quantize", "quantize on evaluation", "requests for quantize"}


def test_an_object_that_is_gone_is_built_again(copied: Optkit, project: Project, onnx_run: Run) -> None:
    shutil.rmtree(object_of(copied, onnx_run.done.digests["quantize"]))
    assert rebuilt(copied, project) == {"quantize"}


def test_a_torn_record_is_built_again(copied: Optkit, project: Project, onnx_run: Run) -> None:
    for path in copied.store.glob("actions/*/*.json"):
        if onnx_run.done.digests["simplify"] in path.read_text() and '"step":"simplify"' in path.read_text():
            path.write_text(path.read_text()[:100])
    assert rebuilt(copied, project) == {"simplify"}


def test_broken_memory_of_digests_costs_only_time(copied: Optkit, project: Project) -> None:
    (copied.store / "files.sqlite").write_bytes(b"no database at all" * 100)
    assert rebuilt(copied, project) == set()
