"""The wheel, installed in an empty folder outside the clone; the commands of the documentation are run with it."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from optkit.serving.triton_server import serve
from tests.cli.pages import Block, blocks, commands, shown, workplace

if TYPE_CHECKING:
    from tests.cli.command import Optkit

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the wheel of this clone."""
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ROOT)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture
def installed(optkit: Optkit, wheel: Path, tmp_path: Path) -> Optkit:
    """Returns the program as the wheel installs it, with an empty store."""
    folder = tmp_path / "installed"
    pip("install", "--no-deps", "--no-index", "--target", folder, wheel)
    program = replace(optkit, store=tmp_path / "store").given(PYTHONPATH=str(folder))
    found = subprocess.run(
        [sys.executable, "-P", "-c", "import optkit; print(optkit.__file__)"],
        capture_output=True,
        check=True,
        env=program.environment,
        text=True,
    )
    assert found.stdout.startswith(str(folder))
    return program


def pip(*arguments: str | Path) -> None:
    """Runs pip, offline."""
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *map(str, arguments)]
    subprocess.run(command, check=True, cwd="/")


@pytest.mark.heavy
def test_it_holds_what_it_needs_and_nothing_else(wheel: Path) -> None:
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
def test_every_command_of_the_documentation_works(installed: Optkit, tmp_path: Path) -> None:
    """The README scaffolds `my-model`, optimizes and verifies it: that is the example recipe from end to end."""
    reader = workplace(tmp_path / "reader")
    for block in blocks("console"):
        if block.fence.endswith("served"):
            run_beside_triton(installed, reader, block, tmp_path / "triton.log")
            continue
        printed = "".join(shown(installed, reader, command) for command in commands(block))
        if block.fence.endswith("exact"):
            assert printed == block.text, str(block)
    scaffolded = {path.name for path in (reader / "my-model").rglob("*") if path.is_file()}
    assert scaffolded == {
        "recipe.yaml", "model.py", "train.py", "weights.safetensors", "dataset.yaml", "mnist.npz", "LICENSE",
        "baseline.json",  # saved by a page
    }  # fmt: skip
    (candidate,) = json.loads((reader / "out" / "my-model" / "report.json").read_text())["candidates"]
    (top1,) = candidate["metrics"]
    assert top1["samples"] == 1000
    assert top1["baseline"]["value"] >= 0.97
    assert top1["drop"]["value"] <= 0.005
    assert candidate["size_ratio"] <= 0.4


def run_beside_triton(optkit: Optkit, reader: Path, block: Block, log: Path) -> None:
    """Runs the commands of a block while a server serves what the README made, on ports of its own."""
    with serve(reader / "out" / "my-model" / "triton", log) as client:
        http, grpc = (url.rpartition(":")[2] for url in (client._http_url, client._grpc_url))  # noqa: SLF001  # its ports
        for command in commands(block):
            shown(optkit, reader, command.replace(":8000", f":{http}").replace(":8001", f":{grpc}"))
