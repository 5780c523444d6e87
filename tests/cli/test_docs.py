"""The examples of the documentation: commands are run, recipes and manifests are read.

A block fenced as `console` holds commands, each on a line that starts with `$ `; other lines show what they print and
are not compared, unless the fence says `console exact`. Of the `yaml` blocks, those with `steps` are recipes and those
with a `reader` are datasets.
"""

from __future__ import annotations

import re
import shlex
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from optkit.core.parse import parse_recipe
from optkit.core.passes import Host
from optkit.data.manifest import load_manifest
from optkit.workflow.tables import load_tables

if TYPE_CHECKING:
    from tests.cli.command import Optkit

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```(?P<fence>[a-z]+(?: [a-z]+)?)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_QUICK = ("--set", "measure.seconds=0.5", "--set", "gates.latency.min_speedup=0.01")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    fence: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(kind: str) -> list[Block]:
    """Returns the blocks of a kind on all pages."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    return [
        Block(page, page.read_text()[: match.start()].count("\n") + 1, match["fence"], match["text"])
        for page in pages
        for match in _BLOCK.finditer(page.read_text())
        if match["fence"].split()[0] == kind
    ]


@pytest.fixture
def workplace(tmp_path: Path) -> Path:
    """Returns a folder that holds the clone's recipes and data, as the reader of a page has them."""
    for name in ("recipes", "calibration"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("out", "__pycache__"))
    return tmp_path


@pytest.mark.heavy
def test_commands_work(optkit: Optkit, workplace: Path) -> None:
    # All of them in one store: a page goes on where another stopped.
    there = replace(optkit, store=workplace / "store")
    for block in blocks("console"):
        printed = "".join(shown(there, workplace, command) for command in commands(block))
        if block.fence.endswith("exact"):
            assert printed == block.text, str(block)


def commands(block: Block) -> list[str]:
    """Returns the commands in a block."""
    found = [line[2:] for line in block.text.splitlines() if line.startswith("$ ")]
    assert found, str(block)
    return found


def shown(optkit: Optkit, workplace: Path, command: str) -> str:
    """Runs a command and returns it with what it prints."""
    program, *words = shlex.split(command, comments=True)
    assert program == "optkit"
    done = optkit(*words, *(_QUICK if words[0] == "optimize" else ()), cwd=workplace)
    return f"$ {command}\n{done.out}"


@pytest.mark.parametrize("block", blocks("yaml"), ids=str)
def test_yaml_is_understood(block: Block, tmp_path: Path) -> None:
    data = yaml.safe_load(block.text)
    shown = tmp_path / "recipes" / "shown"
    shown.mkdir(parents=True)
    (shown / "shown.yaml").write_text(block.text)
    if "steps" in data:
        for file in ("model.py", "weights.safetensors", "model.onnx", *_files(data)):
            (shown / file).resolve().parent.mkdir(parents=True, exist_ok=True)
            (shown / file).resolve().touch()
        assert parse_recipe(shown / "shown.yaml", load_tables(), Host(frozenset(), "shown")).steps
    elif "reader" in data:
        assert load_manifest(shown / "shown.yaml").inputs


def _files(recipe: dict[str, dict[str, dict[str, str]]]) -> list[str]:
    return [part["dataset"] for part in recipe.get("data", {}).values()]
