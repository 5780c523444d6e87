from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
START = "import sys; sys.argv[0] = 'optkit'; from optkit.cli import main; main()"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the wheel of this clone."""
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ROOT)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns an empty folder in which the wheel was installed."""
    folder = tmp_path_factory.mktemp("installed")
    pip("install", "--no-deps", "--no-index", "--target", folder, wheel)
    return folder


def pip(*arguments: str | Path) -> None:
    """Runs pip, offline."""
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *map(str, arguments)]
    subprocess.run(command, check=True, cwd="/")


def run(installed: Path, cwd: Path, code: str, *arguments: str) -> str:
    """Runs Python code with the installed package before all others; returns what it printed."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(installed), "HOME": str(cwd)}
    command = [sys.executable, "-P", "-c", code, *arguments]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.heavy
def test_the_wheel_holds_what_it_needs_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {
        "optkit/py.typed",
        "optkit/templates/mnist/recipe.yaml",
        "optkit/templates/mnist/model.py",
        "optkit/templates/mnist/weights.safetensors",
        "optkit/templates/calibration/mnist/dataset.yaml",
        "optkit/templates/calibration/mnist/mnist.npz",
        "optkit/templates/calibration/mnist/LICENSE",
    } <= set(names)
    assert not [name for name in names if not name.startswith(("optkit/", "optkit-0.1.0.dist-info/"))]
    assert not [name for name in names if "__pycache__" in name or name.startswith("optkit/templates/mnist/out")]
    assert any(name.endswith("licenses/LICENSE") for name in names)


@pytest.mark.heavy
def test_the_wheel_scaffolds_and_optimizes_outside_the_clone(installed: Path, tmp_path: Path) -> None:
    assert run(installed, tmp_path, "import optkit; print(optkit.__file__)").startswith(str(installed))
    scaffolded = run(installed, tmp_path, START, "init", "mine").splitlines()
    assert scaffolded[-1] == "next: optkit optimize mine/recipe.yaml"
    assert {Path(line).name for line in scaffolded[:-2]} == {
        "recipe.yaml", "model.py", "train.py", "weights.safetensors", "dataset.yaml", "mnist.npz", "LICENSE",
    }  # fmt: skip
    assert "it has never run" in run(installed, tmp_path, START, "plan", "mine/recipe.yaml")
    quick = ("--set", "measure.seconds=0.5", "--set", "gates.latency.min_speedup=0.01")
    shown = run(installed, tmp_path, START, "optimize", "mine/recipe.yaml", "-o", "out", *quick)
    assert "approved: 1 of 1 candidates" in shown
    assert (tmp_path / "out" / "triton" / "mnist-cnn" / "1" / "model.onnx").is_file()
    (candidate,) = json.loads((tmp_path / "out" / "report.json").read_text())["candidates"]
    (top1,) = candidate["metrics"]
    assert top1["samples"] == 1000
    assert top1["baseline"]["value"] >= 0.97
    assert top1["drop"]["value"] <= 0.005
    assert candidate["size_ratio"] <= 0.4
