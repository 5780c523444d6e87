from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from optkit.core.errors import UsageError
from optkit.core.parse import parse_recipe
from optkit.workflow.host import this_host
from optkit.workflow.scaffold import scaffold
from optkit.workflow.tables import load_tables

if TYPE_CHECKING:
    from pathlib import Path


def test_the_scaffold_is_a_checked_recipe_with_its_data_inside(tmp_path: Path) -> None:
    files = {path.relative_to(tmp_path / "mine").as_posix() for path in scaffold(tmp_path / "mine")}
    assert files >= {"recipe.yaml", "model.py", "train.py", "weights.safetensors", "data/dataset.yaml", "data/LICENSE"}
    recipe = parse_recipe(tmp_path / "mine" / "recipe.yaml", load_tables(), this_host())
    assert {spec.dataset for spec in recipe.data.values()} == {"data"}


def test_the_training_script_reads_the_data_where_it_now_lies(tmp_path: Path) -> None:
    scaffold(tmp_path / "mine")
    text = (tmp_path / "mine" / "train.py").read_text()
    assert 'HERE / "data"' in text
    assert 'calibration" / "mnist' not in text


def test_a_folder_that_holds_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(UsageError, match="is not empty"):
        scaffold(tmp_path)
