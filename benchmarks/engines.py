"""Engines of TensorRT-RTX: whether the recipes' graphs build, and what optkit costs around the builder.

    python benchmarks/engines.py [store]

The builder alone is a build kit's own script, in a process of its own: nothing of optkit runs in it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import ROOT, write

from optkit.core import process
from optkit.core.copying import copy_tree
from optkit.core.keys import Environment
from optkit.core.parse import parse_recipe
from optkit.core.recipe import Step
from optkit.core.runner import Execution
from optkit.core.store import Store
from optkit.passes.build_engine import BuildEngine
from optkit.passes.cast import Cast
from optkit.workflow.host import this_host
from optkit.workflow.sources import recipe_sources
from optkit.workflow.tables import load_tables

if TYPE_CHECKING:
    from optkit.core.passes import Pass

TARGET = "tensorrt-rtx"
RECIPES = {
    "mnist": (),
    "efficientnet-lite0": ("data.calibration.samples=16",),
    "minilm": ("steps.quantize.method=static", "data.calibration.samples=16"),
}
REPEATS = 3
MAX_OVERHEAD, MAX_MEMORY, MAX_FOUND = 0.10, 1.3, 0.05


@dataclass(frozen=True)
class Cost:
    """One process: seconds from start to end, and its peak memory in bytes."""

    seconds: float
    peak: int


def main() -> None:
    """Measures and writes `results/engines.json`."""
    with tempfile.TemporaryDirectory() as own:
        store = Store(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(own) / "store")
        rows = [row for name in RECIPES for row in measure(name, store)]
    for row in rows:
        print(row)
    limits = {"overhead": MAX_OVERHEAD, "memory over the builder, in weights": MAX_MEMORY, "seconds to find": MAX_FOUND}
    write("engines", {"asked at most": limits, "graphs": rows})


def measure(name: str, store: Store) -> list[dict[str, Any]]:
    """Returns a row for the half-precision and the int8 graph of a recipe."""
    path = ROOT / "recipes" / name / "recipe.yaml"
    recipe = parse_recipe(path, load_tables(), this_host(), (f"target={TARGET}", *RECIPES[name]))
    sources = recipe_sources(recipe, store.digests.file)
    execution = Execution(sources, store, Environment.here(this_host()), store.root / "repro")
    before = recipe.steps[-1].inputs["model"]
    half = Step("cast", Cast(tolerance=0.1).resolve(TARGET, this_host()), {"model": before})
    for step in (*recipe.steps, half):
        list(execution.execute(step))
    graphs = {"float16": half.name, "int8": recipe.steps[-1].name}
    return [{"recipe": name, "precision": precision} | one(execution, step) for precision, step in graphs.items()]


def one(execution: Execution, graph: str) -> dict[str, Any]:
    """Returns what one graph's engine costs, with optkit and without."""
    list(execution.materialise(graph))
    folder = execution.path(graph)
    with tempfile.TemporaryDirectory() as work:
        alone = [builder_alone(kit(folder, Path(work) / f"kit{index}")) for index in range(REPEATS)]
        ours = [with_optkit(BuildEngine(target=TARGET), folder, Path(work) / f"own{index}") for index in range(REPEATS)]
    step = Step(f"engine of {graph}", BuildEngine(target=TARGET), {"model": graph})
    list(execution.execute(step))
    start = time.perf_counter()
    (finished,) = execution.execute(step)
    found = time.perf_counter() - start
    weights = sum(
        (folder / name).stat().st_size for name in ("model.onnx", "model.onnx.data") if (folder / name).exists()
    )
    best, own = min(each.seconds for each in alone), min(each.seconds for each in ours)
    memory = min(each.peak for each in ours) - min(each.peak for each in alone)
    return {
        "weights_bytes": weights,
        "plan_bytes": finished.record["notes"]["engine"]["bytes"],  # type: ignore[attr-defined]  # a StepFinished
        "builder_seconds": finished.record["notes"]["engine"]["builder_seconds"],  # type: ignore[attr-defined]  # likewise
        "script_seconds": best,
        "optkit_seconds": own,
        "overhead": own / best - 1,
        "seconds over the builder": own - best,
        "script_peak_bytes": min(each.peak for each in alone),
        "optkit_peak_bytes": min(each.peak for each in ours),
        "memory over the builder, in weights": memory / weights,
        "seconds to find": found,
    }


def kit(folder: Path, target: Path) -> Path:
    """Writes the build kit of a graph."""
    target.mkdir()
    run(BuildEngine(target=TARGET, defer=True), folder, target)
    copy_tree(target / "out", target / "kit")
    return target / "kit"


def builder_alone(folder: Path) -> Cost:
    """Runs a kit's script."""
    start = time.perf_counter()
    child = subprocess.Popen([sys.executable, "-W", "ignore", folder / "build.py"], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        raise SystemExit(f"{folder}: the builder failed")
    return Cost(time.perf_counter() - start, usage.ru_maxrss * 1024)


def with_optkit(do: Pass, folder: Path, target: Path) -> Cost:
    """Runs the pass as a step does."""
    target.mkdir()
    start = time.perf_counter()
    record = run(do, folder, target)
    return Cost(time.perf_counter() - start, record["peak_rss_bytes"])


def run(do: Pass, folder: Path, target: Path) -> dict[str, Any]:
    """Runs a pass in a process of its own, and returns its record."""
    list(process.run_pass(do, {"model": folder}, target, target / "scratch", target / "tools"))
    return process.result_of(target)


if __name__ == "__main__":
    main()
