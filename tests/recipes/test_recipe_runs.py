"""Each recipe, shortened: fewer samples and hardly any timing, so that its gates on these give way where they must."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from optkit.core.parse import parse_recipe
from optkit.core.passes import Host, Work
from optkit.core.process import run_pass
from optkit.core.store import Store
from optkit.passes.build_engine import BuildEngine
from optkit.passes.cast import Cast
from optkit.passes.quantize import Quantize
from optkit.workflow.sources import recipe_sources
from optkit.workflow.tables import load_tables
from tests.cli.command import Optkit

ROOT = Path(__file__).parents[2]
BRIEFLY = "measure.seconds=0.5"
UNTIMED = (BRIEFLY, "gates.latency.min_speedup=0.05")
SHORTER = {
    "efficientnet-lite0": (
        "data.calibration.samples=24", "data.evaluation.samples=60", "gates.agreement.min=0.75",
        "gates.cosine.min=0.98", "model.dims.batch.max=2", "model.dims.batch.opt=2", *UNTIMED,
    ),
    "minilm": (
        "data.calibration.samples=16", "data.sentiment.samples=100", "gates.sentiment.max_drop=0.1",
        "model.dims.batch.max=4", "model.dims.batch.opt=4", *UNTIMED,
    ),
    "mnist-inc": ("data.calibration.samples=64", BRIEFLY),
    "mnist-tensorrt": ("data.calibration.samples=64", BRIEFLY),
}  # fmt: skip

ENGINES = {"efficientnet-lite0": ("half", "int8"), "minilm": ("int8",)}
"""Recipes for another target whose graphs become engines, too; benchmarks/engines.py builds them all."""
INT8 = Quantize(ranges="minmax", equalize=False, smooth=False, bias_correction=False)


@pytest.mark.heavy
@pytest.mark.parametrize("name", SHORTER)
def test_a_recipe_holds_its_gates(name: str, tmp_path: Path) -> None:
    path = ROOT / "recipes" / name / "recipe.yaml"
    recipe = yaml.safe_load(path.read_text())
    if not (path.parent / recipe["model"]["weights"]).is_file():
        pytest.skip("`make recipes` was not run")
    if name == "mnist-inc":
        pytest.importorskip("neural_compressor", reason="optkit[inc] is not installed")
    settings = [word for each in SHORTER[name] for word in ("--set", each)]
    if name == "mnist-tensorrt":
        pytest.importorskip("tensorrt_rtx", reason="optkit[rtx] is not installed", exc_type=ImportError)
    (tmp_path / "home").mkdir()
    Optkit(tmp_path / "home", tmp_path / "store")("optimize", path, "-o", tmp_path / "out", *settings)
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    (candidate,) = report["candidates"]
    assert candidate["approved"]
    assert {verdict["gate"] for verdict in candidate["verdicts"]} == set(recipe["gates"])
    statuses = {verdict["gate"]: verdict["status"] for verdict in candidate["verdicts"]}
    assert {gate for gate, status in statuses.items() if status != "passed"} == (
        {"latency"} if name == "mnist-tensorrt" else set()
    )
    assert (tmp_path / "out" / "triton" / recipe["name"] / "config.pbtxt").is_file()
    if name == "mnist-tensorrt":
        check_same_bytes(report, Store(tmp_path / "store"), tmp_path / "again")
    if name in ENGINES:
        # Not fused: the recipe's target is ONNX Runtime, whose own operators no other library has.
        simplified = next(step["digest"] for step in report["steps"] if step["name"] == "simplify")
        check_engines(path, Store(tmp_path / "store"), simplified, tmp_path)


def check_same_bytes(report: dict[str, Any], store: Store, work: Path) -> None:
    """Builds the recipe's engine again, in other processes; numbers in the library's own names may differ.

    On a loaded machine some builds number their shape tensors in another order: two of six must be the same.
    """
    digests = {step["name"]: step["digest"] for step in report["steps"]}
    do = BuildEngine(target="tensorrt-rtx", capabilities=("8.6", "8.9", "12.0"))
    model = {"model": store.object_path(digests["quantize"])}
    plans = [store.object_path(digests["build-engine"]) / "engine.plan"]
    for attempt in range(5):
        folder = work / str(attempt)
        folder.mkdir(parents=True)
        list(run_pass(do, model, folder, folder / "scratch", folder / "tools"))
        plans.append(folder / "out" / "engine.plan")
    assert len({path.stat().st_size for path in plans}) == 1
    assert len({re.sub(rb"__mye\d+", b"", path.read_bytes()) for path in plans}) < len(plans)


def check_engines(recipe: Path, store: Store, graph: str, work: Path) -> None:
    """Builds engines of the recipe's graph in half precision and in int8, with the real library."""
    pytest.importorskip("tensorrt_rtx", reason="optkit[rtx] is not installed", exc_type=ImportError)
    settings = ("data.calibration.samples=8",)
    parsed = parse_recipe(recipe, load_tables(), Host(frozenset(), ""), settings)
    inputs = {
        "model": store.object_path(graph),
        "calibration": store.ingest(recipe_sources(parsed, store.digests.file)["data.calibration"]),
    }
    for name in ENGINES[recipe.parent.name]:
        do = {"half": Cast(tolerance=0.1), "int8": INT8}[name]
        made, built = Work(work / name, work / f"{name}-scratch"), Work(work / f"{name}-engine", work / "none")
        for each in (made, built):
            each.out.mkdir()
            each.scratch.mkdir(exist_ok=True)
        do.resolve("tensorrt-rtx", Host(frozenset(), "")).run(inputs, made)
        BuildEngine(target="tensorrt-rtx", capabilities=("8.9",)).run({"model": made.out}, built)
        precision = "float16" if name == "half" else "int8"
        assert any(f"in {precision}" in kind for kind in built.notes["engine"]["layers"])


def test_every_recipe_has_a_run() -> None:
    quickstart = {"mnist"}  # tests/cli runs it as it is
    assert {path.parent.name for path in ROOT.glob("recipes/*/recipe.yaml")} == quickstart | set(SHORTER)
