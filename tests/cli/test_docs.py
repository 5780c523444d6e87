"""The examples of the documentation that need no run; its commands are run in test_wheel.py."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click
import pytest
import yaml

from optkit.cli import group
from optkit.core.parse import parse_recipe
from optkit.core.passes import Host
from optkit.data.manifest import load_manifest
from optkit.workflow.tables import load_tables
from tests.cli.pages import Block, blocks, commands

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("block", blocks("yaml"), ids=str)
def test_yaml_is_understood(block: Block, tmp_path: Path) -> None:
    data = yaml.safe_load(block.text)
    folder = tmp_path / "recipes" / "shown"
    folder.mkdir(parents=True)
    (folder / "shown.yaml").write_text(block.text)
    if "steps" in data:
        for file in ("model.py", "weights.safetensors", "model.onnx", *_files(data)):
            (folder / file).resolve().parent.mkdir(parents=True, exist_ok=True)
            (folder / file).resolve().touch()
        _write_huggingface(folder / data["model"].get("huggingface", "unnamed"))
        assert parse_recipe(folder / "shown.yaml", load_tables(), Host(frozenset(), "shown")).steps
    elif "reader" in data:
        assert load_manifest(folder / "shown.yaml").inputs


def _files(recipe: dict[str, dict[str, dict[str, str]]]) -> list[str]:
    return [part["dataset"] for part in recipe.get("data", {}).values()]


def _write_huggingface(folder: Path) -> None:
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "distilbert", "dim": 32, "n_heads": 2, "n_layers": 1}')
    (folder / "model.safetensors").touch()


@pytest.mark.parametrize("block", blocks("console"), ids=str)
def test_commands_exist(block: Block) -> None:
    for line in commands(block):
        _, name, *_ = shlex.split(line, comments=True)
        assert group.get_command(click.Context(group), name) is not None, line
