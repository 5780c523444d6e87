"""What merging Q, K and V into one product gains in float32 on ONNX Runtime's CPU kernels.

    python benchmarks/merging.py

Each session has a process of its own; both graphs are timed in turns.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import OPTKIT, ROOT, write

from optkit.core import interface as interfaces
from optkit.measure.latency import feeds_of, measure_latency
from optkit.measure.latency_report import Subject

if TYPE_CHECKING:
    from collections.abc import Mapping

    from optkit.measure.latency_report import LatencyReport

MODELS: Mapping[str, Mapping[str, Any]] = {
    "MiniLM's sizes": {"layers": 6, "width": 384, "causal": False},
    "GPT-2's sizes": {"layers": 12, "width": 768, "causal": True},
}
BATCHES = (1, 8)
SECONDS = 20.0
THREADS = 2
DIMS = {"batch": {"min": 1, "opt": 1, "max": 8}, "sequence": {"min": 2, "opt": 128, "max": 128}}


def main() -> None:
    """Makes the graphs, times them and writes `results/merging.json`."""
    found: dict[str, Any] = {}
    for name, arguments in MODELS.items():
        with tempfile.TemporaryDirectory() as folder:
            apart, merged = make(arguments, Path(folder))
            found[name] = {f"batch {batch}": speedup(apart, merged, batch) for batch in BATCHES}
        print(name, json.dumps(found[name]), flush=True)
    write("merging", {"speedup, and its bounds": found, "sequence": DIMS["sequence"]["opt"], "threads": THREADS})


def make(arguments: Mapping[str, Any], folder: Path) -> tuple[Path, Path]:
    """Returns the fused graph without and with merged products."""
    shutil.copy(Path(__file__).with_name("networks.py"), folder)
    x = {"dtype": "float32", "shape": ["batch", "sequence", arguments["width"]]}
    model = {"factory": "networks.py:Transformer", "arguments": dict(arguments), "inputs": {"x": x}, "dims": DIMS}
    recipe = {"name": "transformer", "model": {**model, "outputs": ["y"]}, "steps": ["export"]}
    (folder / "recipe.yaml").write_text(json.dumps(recipe))  # JSON is YAML
    optkit("run", "export", folder / "recipe.yaml", "-o", folder / "export")
    places = folder / "apart", folder / "merged"
    for place, merge in zip(places, ("false", "true"), strict=True):
        optkit("run", "fuse", folder / "export", "-o", place, "--set", "timed=false", "--set", f"merge={merge}")
    return places


def speedup(apart: Path, merged: Path, batch: int) -> list[float]:
    """Returns the speedup of the merged graph, and its bounds."""
    subjects = [Subject(folder.name, "onnxruntime", folder, THREADS) for folder in (apart, merged)]
    measurement = measure_latency(subjects[0], subjects[1:], feeds_of(interfaces.read(apart), [batch]), SECONDS, 0.005)
    while True:
        try:
            next(measurement)
        except StopIteration as stop:
            report: LatencyReport = stop.value
            found = report.feeds[-1].speedups[merged.name]
            return [found.ratio, *found.interval]


def optkit(*arguments: object) -> None:
    """Runs a command.

    Raises:
        subprocess.CalledProcessError: It failed; its words are on stderr.
    """
    subprocess.run([str(OPTKIT), *map(str, arguments)], check=True, stdout=sys.stderr, cwd=ROOT)


if __name__ == "__main__":
    main()
