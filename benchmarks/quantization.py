"""What quantizing costs, beside its rivals: each task in a process of its own, medians of several runs.

The rivals need an environment of their own: `make rivals`. Without it, or for a tool that it lacks, a row says so.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import RESULTS, ROOT, environment, write

if TYPE_CHECKING:
    from collections.abc import Sequence

HERE = Path(__file__).parent
RIVALS = ROOT / ".venv-rivals" / "bin" / "python"
REPEATS = 3
GIGABYTE = 1e9


@dataclass(frozen=True)
class Work:
    """A task that several tools do.

    Attributes:
        title: What it is.
        model: In `models.py`, and the images beside it, if any.
        ours: Our job.
        rivals: Their jobs.
        seconds: Asked of us, at most.
        gigabytes: Asked of us, at most, of memory.
    """

    title: str
    model: tuple[str, ...]
    ours: str
    rivals: tuple[str, ...]
    seconds: float
    gigabytes: float | None


WORKS = (
    Work(
        "calibrate ResNet-50, 64 images: four methods together",
        ("resnet50", "images64"), "optkit-calibrate", ("ort-calibrate", "onnxsim-calibrate"), 8, 0.7,
    ),
    Work("the same, 640 images", ("resnet50", "images640"), "optkit-calibrate", (), 80, 0.7),
    Work("quantize a graph of 4000 nodes", ("deep",), "optkit-write", ("ort-static",), 2, None),
    Work("quantize 2.3 GB", ("large",), "optkit-dynamic", ("ort-dynamic",), 15, 3),
    Work(
        "ResNet-50, file to file, 64 images, minmax",
        ("resnet50", "images64"), "optkit-static", ("ort-static", "nncf-static"), 8, 0.7,
    ),
)  # fmt: skip


def compare(works: Sequence[Work], name: str) -> None:
    """Measures the works that are named on the command line by number, or all; keeps them in `results/NAME.json`."""
    chosen = [works[int(number)] for number in sys.argv[1:]] or works
    file = RESULTS / f"{name}.json"
    rows: dict[str, Any] = json.loads(file.read_text())["works"] if file.exists() else {}
    for work in chosen:
        print(work.title)
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            for part in work.model:
                subprocess.run([sys.executable, HERE / "models.py", part, folder], check=True, capture_output=True)
            rows[work.title] = {**measure(work, folder), "commit": environment()["commit"]}
        write(name, {"works": rows})


def measure(work: Work, folder: Path) -> dict[str, object]:
    """Returns the medians of every tool, taken in turn; prints them."""
    asked = {"seconds": work.seconds, "gigabytes": work.gigabytes}
    found: dict[str, list[dict[str, Any]]] = {job: [] for job in (work.ours, *work.rivals)}
    for _ in range(REPEATS):
        for job, runs in found.items():
            runs.append(run(job, folder))
    medians = {job: median(runs) for job, runs in found.items()}
    for job, each in medians.items():
        print(f"  {job:18} {each['seconds']:8.2f} s  {each['gigabytes']:6.2f} GB" if each else f"  {job:18} failed")
    return {"asked": asked, "runs": found, "medians": medians}


def median(runs: list[dict[str, Any]]) -> dict[str, float]:
    """Returns the median of each figure; nothing if a run failed."""
    if not all("seconds" in run for run in runs):
        return {}
    return {
        "seconds": statistics.median(run["seconds"] for run in runs),
        "gigabytes": statistics.median(run["peak_bytes"] for run in runs) / GIGABYTE,
    }


def run(job: str, folder: Path) -> dict[str, Any]:
    """Returns what the job printed, or why it failed."""
    own = job.startswith("optkit")
    python = Path(sys.executable) if own or not RIVALS.exists() else RIVALS
    with tempfile.TemporaryDirectory() as out:
        command = [str(python), str(HERE / "jobs.py"), job, str(folder), out]
        done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=out)
    if done.returncode:
        return {"failed": (done.stderr.strip().splitlines() or ["no message"])[-1]}
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


if __name__ == "__main__":
    compare(WORKS, "quantization")
