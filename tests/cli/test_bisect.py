"""Which step makes a result bad, and where in it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.cli.project import Project, torch_project
from tests.cli.test_budget import deep

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.command import Optkit

PLUGIN = '''\
"""A third party's pass, which turns the sign of one layer's weight."""

from dataclasses import dataclass
from typing import ClassVar

from optkit.core.passes import Pass


@dataclass(frozen=True)
class Corrupt(Pass):
    """Breaks a layer."""

    roles: ClassVar = {"model": frozenset({"onnx"})}
    produces: ClassVar = "onnx"

    factor: float = -1.0
    """What the layer's weight is multiplied by."""

    def run(self, inputs, work):
        import onnx_ir as ir

        from optkit.passes.onnx_step import read_model, write_model

        model, interface = read_model(inputs["model"])
        layer = [node for node in model.graph if node.op_type == "Gemm"][-1]
        weight = layer.inputs[1]
        weight.const_value = ir.tensor(weight.const_value.numpy() * self.factor, name=weight.name)
        write_model(model, interface, work.out)
'''


@pytest.fixture
def plugin(optkit: Optkit, tmp_path: Path) -> Optkit:
    """Returns the program with a plugin installed."""
    folder = tmp_path / "plugin"
    info = folder / "corrupting-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "corrupting.py").write_text(PLUGIN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: corrupting\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[optkit.passes]\ncorrupt = corrupting:Corrupt\n")
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    return optkit.given(PYTHONPATH=os.pathsep.join(paths))


def corrupted(folder: Path, step: str) -> Project:
    project = torch_project(folder)
    project.edit(("[export, quantize]", f"[export, simplify, {step}, quantize]"))
    return project


def test_a_third_partys_pass_that_breaks_a_layer_is_named(plugin: Optkit, tmp_path: Path) -> None:
    project = corrupted(tmp_path / "project", "corrupt")
    done = plugin("optimize", project.recipe, "-o", tmp_path / "out", "--bisect", code=3)
    expected = "quantize: step `corrupt` is where it goes wrong: cosine of logits 1.0000 → "
    line = next(line for line in done.err.splitlines() if "goes wrong" in line)
    assert line.startswith(expected)
    assert "first bad tensor `logits`, produced by Gemm " in line
    assert line.endswith("(model.py:14)")
    assert line in done.out  # a remark of the report
    assert "no candidate is approved" in done.err


def test_programs_read_the_same(plugin: Optkit, tmp_path: Path) -> None:
    project = corrupted(tmp_path / "project", "corrupt")
    done = plugin("optimize", project.recipe, "-o", tmp_path / "out", "--bisect", "--json", code=3)
    (found,) = [event for event in done.events if event["event"] == "bisected"]
    assert (found["candidate"], found["step"]) == ("quantize", "corrupt")
    assert [step["step"] for step in found["steps"]] == ["export", "simplify", "corrupt", "quantize"]
    assert found["steps"][1]["noise"] < 1e-5
    assert found["steps"][2]["noise"] > 0.1
    assert found["tensor"]["tensor"] == "logits"
    assert found["tensor"]["source"] == "model.py:14"


def test_a_run_without_fault_says_so(plugin: Optkit, tmp_path: Path) -> None:
    project = corrupted(tmp_path / "project", "corrupt: {factor: 1.0}")
    done = plugin("optimize", project.recipe, "-o", tmp_path / "out", "--bisect")
    assert "quantize: no step goes wrong; the worst is `quantize` with cosine 0.99" in done.err


def test_a_layer_that_eight_bits_ruin_is_named(optkit: Optkit, tmp_path: Path) -> None:
    project = deep(tmp_path / "project")
    project.edit((", budget: {same: {max_drop: 0.01}}", ""), ("measure:", "gates: {same: {min: 0.9999}}\nmeasure:"))
    done = optkit("optimize", project.recipe, "-o", tmp_path / "out", "--bisect", code=3)
    line = next(line for line in done.err.splitlines() if line.startswith("quantize: step"))
    assert "step `quantize` " in line
    assert "first bad tensor `a1`, produced by Relu " in line or "`p2`, produced by MatMul layer2" in line
