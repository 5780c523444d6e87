"""What every benchmark shares: where it ran, medians, and a results file that names machine, versions and commit."""

from __future__ import annotations

import json
import platform
import statistics
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"
OPTKIT = Path(sys.executable).with_name("optkit")
_PACKAGES = (
    "optkit",
    "torch",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "onnxsim",
    "onnxslim",
    "numpy",
    "openvino",
    "transformers",
)


def environment() -> dict[str, object]:
    """Returns the machine, the versions and the commit."""
    return {
        "cpu": _cpu(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in _PACKAGES},
        "commit": _git("rev-parse", "HEAD"),
        "dirty": bool(_git("status", "--porcelain")),
    }


def timed(command: Sequence[str | Path], cwd: Path = ROOT) -> float:
    """Returns the seconds that a command takes.

    Raises:
        subprocess.CalledProcessError: It failed.
    """
    start = time.perf_counter()
    subprocess.run(list(command), cwd=cwd, check=True, capture_output=True)
    return time.perf_counter() - start


def median_of(repeats: int, command: Sequence[str | Path]) -> float:
    """Returns the median seconds of a command, after one run that warms the file cache."""
    timed(command)
    return statistics.median(timed(command) for _ in range(repeats))


def report(name: str, rows: Sequence[tuple[str, float, float]]) -> None:
    """Prints and writes rows of (what, asked at most, measured), in seconds."""
    for what, asked, measured in rows:
        state = "ok" if measured <= asked else "MISSED"
        print(f"{what:40} asked <= {asked:7.3f} s   measured {measured:7.3f} s   {state}")
    write(name, {"seconds": {what: {"asked": asked, "measured": measured} for what, asked, measured in rows}})


def write(name: str, figures: Mapping[str, object]) -> None:
    """Writes figures and where they were measured to `results/NAME.json`."""
    document = {"environment": environment(), **figures}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, check=False, capture_output=True, text=True)  # noqa: S607  # git of the PATH
    return done.stdout.strip()
