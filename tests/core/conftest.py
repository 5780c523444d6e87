"""Recipes and executions for the tests of the core."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from optkit.core.errors import Problem, RecipeError
from optkit.core.keys import Environment
from optkit.core.parse import parse_recipe
from optkit.core.passes import Host
from optkit.core.recipe import Recipe
from optkit.core.runner import Execution
from optkit.core.sources import Source
from optkit.core.store import Store
from tests.core.sample_tables import TABLES

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
