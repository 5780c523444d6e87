"""Recipes and executions for the tests of the core."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from optkit.core.errors import Problem, RecipeError
from optkit.core.parse import parse_recipe
from optkit.core.recipe import Recipe
from optkit.core.runner import Execution
from optkit.core.sources import Source
from tests.core.sample_tables import TABLES

if TYPE_CHECKING:
    from optkit.core.keys import Environment
    from optkit.core.passes import Host
    from optkit.core.store import Store

ROOT = Path(__file__).parents[2]

Parse = Callable[..., Recipe]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns a recipe's folder, with the files that recipes here name; it is the current folder."""
    folder = tmp_path / "work"
    (folder / "images").mkdir(parents=True)
    for name in ("model.py", "weights.safetensors", "model.onnx", "model.pt2"):
        (folder / name).write_bytes(b"")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def parse(folder: Path, host: Host) -> Parse:
    """Returns a function that parses the text of a recipe, with overrides."""

    def parse(text: str, *overrides: str) -> Recipe:
        (folder / "recipe.yaml").write_text(text)
        return parse_recipe(Path("recipe.yaml"), TABLES, host, overrides)

    return parse


@pytest.fixture
def problems_of(parse: Parse) -> Callable[..., tuple[Problem, ...]]:
    """Returns a function that gives the mistakes of a recipe."""

    def problems_of(text: str, *overrides: str) -> tuple[Problem, ...]:
        with pytest.raises(RecipeError) as caught:
            parse(text, *overrides)
        return caught.value.problems

    return problems_of


@pytest.fixture
def messages_of(problems_of: Callable[..., tuple[Problem, ...]]) -> Callable[..., list[str]]:
    """Returns a function that gives the mistakes of a recipe as lines of text."""
    return lambda *arguments: [str(problem) for problem in problems_of(*arguments)]


@pytest.fixture
def execution(
    store: Store, environment: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Execution]:
    """Returns a function that starts a fresh walk over the same store, with one source called `model`."""
    # Children import the sample passes by this name.
    monkeypatch.setenv("PYTHONPATH", str(ROOT))

    def execution(text: str = "hello", where: Store = store) -> Execution:
        source = Source("text", documents={"text.txt": text.encode()})
        return Execution({"model": source}, where, environment, tmp_path / "repro")

    return execution


@pytest.fixture
def alive() -> Callable[[int], bool]:
    """Returns a function that tells whether a process runs; one that waits to be reaped does not."""

    def alive(pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except (FileNotFoundError, ProcessLookupError):
            return False

    return alive


@pytest.fixture
def vanishes(alive: Callable[[int], bool]) -> Callable[[int], bool]:
    """Returns a function that waits until a process is gone; False if it stays."""
    return lambda pid: waited_for(lambda: not alive(pid))


def waited_for(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    """Waits until a condition holds; False if it does not in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


@pytest.fixture
def wait_for() -> Callable[[Callable[[], bool]], bool]:
    """Returns a function that waits until a condition holds; False if it does not in time."""
    return waited_for


@pytest.fixture
def open_files() -> Callable[[], int]:
    """Returns a function that counts this process's open files."""
    return lambda: len(list(Path("/proc/self/fd").iterdir()))
