"""The real program, and projects that it optimizes in seconds.

All tests share one store, whichever worker runs them: a step whose inputs a test does not touch is built once.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from optkit.core import locks
from tests.cli.command import Done, Optkit
from tests.cli.outcome import Attempt
from tests.cli.project import Project, onnx_project, torch_project

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True)
class Run:
    """A project that was optimized, its output folder and what was printed."""

    project: Project
    folder: Path
    done: Done


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a folder that all workers share."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "shared"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def optkit(shared: Path) -> Optkit:
    """Returns the program with the store that all tests share: they add to it, and never take away."""
    (shared / "home").mkdir(exist_ok=True)
    return Optkit(shared / "home", shared / "store")


@pytest.fixture
def fresh(optkit: Optkit, tmp_path: Path) -> Optkit:
    """Returns the program with an empty store."""
    return replace(optkit, store=tmp_path / "store")


@pytest.fixture
def copied(optkit: Optkit, onnx_run: Run, fresh: Optkit) -> Optkit:
    """Returns the program with a store of its own, in which every step of the ONNX project is cached."""
    del onnx_run
    for part in ("objects", "actions"):
        shutil.copytree(optkit.store / part, fresh.store / part)
    return fresh


@pytest.fixture(scope="session")
def onnx_run(optkit: Optkit, shared: Path) -> Run:
    """Returns an approved run on an ONNX file; tests leave its folders as they are."""
    return run_once(optkit, shared / "onnx", onnx_project)


@pytest.fixture(scope="session")
def torch_run(optkit: Optkit, shared: Path) -> Run:
    """Returns an approved run on a PyTorch model; tests leave its folders as they are."""
    return run_once(optkit, shared / "torch", torch_project)


@pytest.fixture
def project(onnx_run: Run, tmp_path: Path) -> Project:
    """Returns a copy of the ONNX project, all of whose steps are cached, to be spoiled."""
    return _copy(onnx_run, tmp_path)


@pytest.fixture
def pytorch(torch_run: Run, tmp_path: Path) -> Project:
    """Returns a copy of the PyTorch project, all of whose steps are cached, to be spoiled."""
    return _copy(torch_run, tmp_path)


@pytest.fixture
def attempt(optkit: Optkit, onnx_run: Run) -> Attempt:
    """Returns a function that optimizes where an approved run lies, and sees that nothing of it is left."""
    return Attempt(optkit, onnx_run.folder)


def run_once(optkit: Optkit, folder: Path, write: Callable[[Path], Project]) -> Run:
    """Optimizes a project in a folder, unless another worker has done so."""
    printed = folder / "events.jsonl"
    folder.mkdir(parents=True, exist_ok=True)
    with locks.hold(folder / "lock"):
        if not printed.exists():
            project = write(folder / "project")
            printed.write_text(optkit("optimize", project.recipe, "-o", folder / "out", "--json").out)
    return Run(Project(folder / "project"), folder / "out", Done(0, printed.read_text(), ""))


def _copy(run: Run, tmp_path: Path) -> Project:
    return Project(shutil.copytree(run.project.folder, tmp_path / "project"))
