"""A model of more than 2 GB, end to end: optimized to int8 and int4 weights, packaged, and served by a real Triton.

    python benchmarks/big_model.py [FOLDER]

Every step's seconds and peak memory go to `results/big-model.json`, the peaks also as a ratio to the weights. The
folder, which takes 15 GB, is a temporary one unless it is given.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from architecture_models import Network
from harness import OPTKIT, write
from networks import Stack

LAYERS, WIDTH, SAMPLES = 33, 2048, 64
INTERFACE = {
    "inputs": {"x": {"dtype": "float32", "shape": ["batch", WIDTH]}},
    "outputs": ["logits"],
    "dims": {"batch": {"min": 1, "opt": 4, "max": 8}},
}
STEPS = ["export", "simplify", "fuse"]
LEAVES = [{"id": f"int{bits}", "from": "fuse", "quantize-weights": {"bits": bits}} for bits in (8, 4)]
REST = {
    "data": {"evaluation": {"dataset": "samples.npz"}},
    "metrics": {"cosine": {"kind": "cosine", "output": "logits"}},
    "steps": [*STEPS, *LEAVES],
    "gates": {"cosine": {"min": 0.9}, "size": {"max_ratio": 0.5}},
    "package": {"triton": {}},
}


def main() -> None:
    """Runs it in the folder that the command line names, or in a temporary one."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(sys.argv[1] if len(sys.argv) > 1 else temporary)
        write("big-model", measure(folder))


def measure(folder: Path) -> dict[str, Any]:
    """Returns what every step took, and the verdicts."""
    weights = prepare(folder)
    optimize = run("optimize", folder / "recipe.yaml", "--store", folder / "store", "-o", folder / "out")
    report = json.loads((folder / "out" / "report.json").read_text())
    steps = {step["name"]: taken(step["seconds"], step["peak_rss_bytes"], weights) for step in report["steps"]}
    steps["optimize"] = taken(*optimize, weights)
    steps["verify"] = taken(*run("verify", folder / "out"), weights)
    return {"weight_bytes": weights, "steps": steps, "candidates": report["candidates"]}


def prepare(folder: Path) -> int:
    """Writes model, samples and recipe; returns the bytes of the weights."""
    stack = Network(Stack(LAYERS, WIDTH), ("Stack", {"layers": LAYERS, "width": WIDTH}), INTERFACE)
    # JSON is YAML.
    (folder / "recipe.yaml").write_text(json.dumps({"name": "stack", "model": stack.write(folder), **REST}))
    random = np.random.default_rng(0)
    np.savez(folder / "samples.npz", x=random.standard_normal((SAMPLES, WIDTH), dtype=np.float32))
    return (folder / "weights.safetensors").stat().st_size


def run(*command: str | Path) -> tuple[float, int]:
    """Returns the seconds that a command of optkit took, and the bytes of its largest process.

    Raises:
        RuntimeError: It did not succeed.
    """
    print(*command, flush=True)
    start = time.perf_counter()
    process = subprocess.Popen([OPTKIT, *command])
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"optkit {command[0]} ended with code {os.waitstatus_to_exitcode(status)}")
    return time.perf_counter() - start, usage.ru_maxrss * 1024


def taken(seconds: float, peak: int, weights: int) -> dict[str, float]:
    """Returns what a step took, its peak also as a ratio to the weights."""
    return {"seconds": seconds, "peak_bytes": peak, "peak_ratio": peak / weights}


if __name__ == "__main__":
    main()
