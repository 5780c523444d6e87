"""The real program, and projects that it optimizes in seconds.

One store serves all tests of a worker: a step whose inputs a test does not touch is built once.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.cli.command import Done, Optkit
from tests.cli.outcome import Attempt
from tests.cli.project import Project, onnx_project, torch_project


@dataclass(frozen=True)
class Run:
    """A project that was optimized, its output folder and what was printed."""

    project: Project
    folder: Path
    done: Done


@pytest.fixture(scope="session")
def optkit(tmp_path_factory: pytest.TempPathFactory) -> Optkit:
    """Returns the program with the store that all tests share."""
    home = tmp_path_factory.mktemp("home")
    return Optkit(home, home / "store")


@pytest.fixture
def fresh(optkit: Optkit, tmp_path: Path) -> Optkit:
    """Returns the program with an empty store."""
    return replace(optkit, store=tmp_path / "store")


@pytest.fixture(scope="session")
def onnx_run(optkit: Optkit, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Returns an approved run on an ONNX file; tests leave its folders as they are."""
    return _run(optkit, onnx_project(tmp_path_factory.mktemp("onnx") / "project"))


@pytest.fixture(scope="session")
def torch_run(optkit: Optkit, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Returns an approved run on a PyTorch model; tests leave its folders as they are."""
    return _run(optkit, torch_project(tmp_path_factory.mktemp("torch") / "project"))


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


def _run(optkit: Optkit, project: Project) -> Run:
    folder = project.folder.with_name("out")
    return Run(project, folder, optkit("optimize", project.recipe, "-o", folder, "--json"))


def _copy(run: Run, tmp_path: Path) -> Project:
    return Project(shutil.copytree(run.project.folder, tmp_path / "project"))
