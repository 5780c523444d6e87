"""Accuracy budgets from the command line: met, missed, wrong, interrupted."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.cli.outcome import assert_nothing_deployable
from tests.cli.processes import wait_until_gone
from tests.cli.project import Project, data, onnx_project, write_data

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.command import Optkit

LAYERS = 10
DEEP = """\
name: deep
model: {onnx: model.onnx, dims: {batch: {min: 1, opt: 4, max: 16}}}
data:
  calibration: {dataset: calibration.npz}
  search: {dataset: search.npz}
  evaluation: {dataset: evaluation.npz}
metrics:
  same: {kind: cosine, output: y}
steps:
  - quantize: {equalize: false, smooth: false, budget: {same: {max_drop: 0.01}}}
measure: {seconds: 0.2, precision: 0.5, threads: 1}
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Returns a project with a budget, whose search data is its own, and without a gate on the metric."""
    made = onnx_project(tmp_path / "project")
    write_data(made.folder / "search.npz", data(seed=3, count=60))
    made.edit(
        ("evaluation: {", "search: {dataset: search.npz}\n  evaluation: {"),
        ("[simplify, quantize]", "[simplify, quantize: {budget: {top1: {max_drop: 0.2}}}]"),
        ("  top1: {max_drop: 0.1}\n", "  size: {max_ratio: 9}\n"),
    )
    return made


def deep(folder: Path) -> Project:
    """Writes ten layers in a row, the third of which reads channels that differ by up to 2^12."""
    folder.mkdir()
    random = np.random.default_rng(0)
    factors = (2.0 ** random.integers(-6, 7, 16)).astype(np.float32)
    tensors, nodes = [], []
    for index in range(LAYERS):
        weight = random.standard_normal((16, 16)).astype(np.float32) / 3
        weight = weight * factors if index == 1 else weight / factors[:, None] if index == 2 else weight
        tensors.append(numpy_helper.from_array(weight.astype(np.float32), f"w{index}"))
        source = f"a{index - 1}" if index else "x"
        nodes.append(helper.make_node("MatMul", [source, f"w{index}"], [f"p{index}"], f"layer{index}"))
        nodes.append(helper.make_node("Relu", [f"p{index}"], [f"a{index}" if index < LAYERS - 1 else "y"]))
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 16]) for name in ("x", "y")]
    graph = helper.make_graph(nodes, "deep", ends[:1], ends[1:], tensors)
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), folder / "model.onnx"
    )
    for seed, name in enumerate(("calibration", "search", "evaluation")):
        samples = np.random.default_rng(seed).standard_normal((64, 16)).astype(np.float32)
        write_data(folder / f"{name}.npz", {"x": samples})
    (folder / "recipe.yaml").write_text(DEEP)
    return Project(folder)


def test_a_budget_is_searched_and_then_judged(optkit: Optkit, project: Project, tmp_path: Path) -> None:
    done = optkit("optimize", project.recipe, "-o", tmp_path / "out")
    assert "quantize: the budget keeps 0 of 2 layers in float; top1 drops" in done.out
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    (candidate,) = report["candidates"]
    verdicts = {(each["gate"], each["rule"]): each["limit"] for each in candidate["verdicts"]}
    assert verdicts["top1", "max_drop"] == 0.2
    assert any("the budget keeps" in remark for remark in report["remarks"])


def test_a_missed_budget_is_no_success(optkit: Optkit, project: Project, tmp_path: Path) -> None:
    project.edit(
        ("kind: accuracy", "kind: cosine"), ("max_drop: 0.2", "max_drop: 0.0")
    )  # fmt: skip
    failed = optkit("optimize", project.recipe, "-o", tmp_path / "out", code=3)
    assert "quantize: no int8 graph holds the budget (top1 0)" in failed.err
    assert "the nearest keeps 1 of 2 layers" in failed.err
    assert_nothing_deployable(tmp_path / "out")


def test_a_budget_on_a_metric_that_does_not_exist(optkit: Optkit, project: Project) -> None:
    project.edit(("budget: {top1:", "budget: {top2:"))
    failed = optkit("plan", project.recipe, code=2)
    line = next(line for line in failed.err.splitlines() if "no such metric" in line)
    assert "recipe.yaml:" in line
    assert "steps[1].quantize.budget.top2" in line
    assert "did you mean 'top1'?" in line


def test_data_to_search_on_must_be_apart(optkit: Optkit, project: Project, tmp_path: Path) -> None:
    for other in ("calibration", "evaluation"):
        write_data(project.folder / "search.npz", data(seed=1 if other == "calibration" else 2, count=20))
        failed = optkit("optimize", project.recipe, "-o", tmp_path / "out", code=2)
        assert f"data.{other}" in failed.err
        assert "data.search" in failed.err
        assert "share 20 of their samples" in failed.err


def test_a_changed_metric_searches_again(optkit: Optkit, project: Project, tmp_path: Path) -> None:
    optkit("optimize", project.recipe, "-o", tmp_path / "out")
    assert "cached" in optkit("plan", project.recipe, "--explain", "quantize").out
    project.edit(("{kind: accuracy, output: logits}", "{kind: accuracy, output: logits, k: 2}"))
    assert "option budget" in optkit("plan", project.recipe, "--explain", "quantize").out


def test_one_pass_with_a_budget(optkit: Optkit, tmp_path: Path) -> None:
    folder = deep(tmp_path / "project").folder
    given: list[str | Path] = ["run", "quantize", folder / "model.onnx", "--calibration", folder / "calibration.npz"]
    prep = ["--set", "equalize=false", "--set", "smooth=false"]
    refused = optkit(*given, "--set", "budget={same: {max_drop: 0.01}}", "-o", tmp_path / "no", code=2)
    assert "budget.same: which metric this is must be said" in refused.err
    assert "hint" not in refused.err
    budget = "budget={same: {max_drop: 0.01, metric: {kind: cosine, output: y}}}"
    done = optkit(
        *given, "--search", folder / "search.npz", *prep, "--set", budget, "-o", tmp_path / "int8", "--json"
    )  # fmt: skip
    assert any("the budget keeps" in event.get("text", "") for event in done.events)
    shown = optkit("inspect", tmp_path / "int8", "--quantization").out
    assert "kept in float by the budget" in shown
    assert " by " in next(line for line in shown.splitlines() if line.split()[:1] == ["x"])
    shared = optkit(
        *given, "--search", folder / "calibration.npz", "--set", budget, "-o", tmp_path / "no", code=2
    )  # fmt: skip
    assert "data.calibration and data.search share 64 of their samples" in shared.err
    unused = optkit(*given, "--search", folder / "search.npz", "-o", tmp_path / "no", code=2)
    assert "searches for nothing with these options" in unused.err


def test_a_search_goes_on_after_a_kill(fresh: Optkit, tmp_path: Path) -> None:
    project = deep(tmp_path / "project")
    process = fresh.start("optimize", project.recipe, "-o", tmp_path / "out", "--json")
    end = time.monotonic() + 120
    while not (made := _evaluations(fresh.store)):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    wait_until_gone(fresh.store)
    kept = _evaluations(fresh.store)
    assert kept >= made
    done = fresh("optimize", project.recipe, "-o", tmp_path / "out", "--json")
    (note,) = [
        event["record"]["notes"]["budget"]
        for event in done.events
        if event["event"] == "step-finished" and event["step"] == "quantize"
    ]
    assert note["reused"] == kept < len(note["evaluations"])
    assert [layer["node"] for layer in note["layers"] if layer["float"]] == ["layer2"]
    assert not list(fresh.store.glob("scratch/*/search.json"))


def _evaluations(store: Path) -> int:
    """Returns how many evaluations a search has kept in a store."""
    return sum(len(json.loads(path.read_text())["evaluations"]) for path in store.glob("scratch/*/search.json"))
