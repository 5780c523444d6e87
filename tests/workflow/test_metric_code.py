from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from optkit.core.errors import RecipeError
from optkit.core.parse import parse_recipe
from optkit.workflow.host import this_host
from optkit.workflow.tables import load_tables

if TYPE_CHECKING:
    from pathlib import Path

RECIPE = """\
name: m
model: {{onnx: m.onnx}}
data:
  calibration: {{dataset: data.npz}}
  evaluation: {{dataset: data.npz}}
metrics:
  own: {{kind: python, output: y, function: "{function}"}}
steps: [quantize: {options}]
gates: {{own: {{min: 0.5}}}}
"""


def recipe(folder: Path, function: str = "score.py:score", options: str = "{}") -> Path:
    for name in ("m.onnx", "data.npz", "score.py"):
        (folder / name).touch()
    path = folder / "recipe.yaml"
    path.write_text(RECIPE.format(function=function, options=options))
    return path


def test_a_function_lies_beside_the_recipe(tmp_path: Path) -> None:
    parsed = parse_recipe(recipe(tmp_path), load_tables(), this_host())
    assert parsed.metrics[0].metric.function == f"{tmp_path}/score.py:score"


@pytest.mark.parametrize(
    ("function", "options", "message"),
    [
        ("scores.py:score", "{}", "metrics.own.function  no such file: {folder}/scores.py  (did you mean 'score.py'?)"),
        ("score.py", "{}", "metrics.own.function  should read file.py:callable  (for example metric.py:score)"),
        (
            "score.py:score", "{budget: {own: {max_drop: 0.1}}}",
            "steps[0].quantize.budget.own  runs code that steps do not have  (gate it, and give the budget a metric of",
        ),
    ],
)  # fmt: skip
def test_what_is_refused_before_any_work(tmp_path: Path, function: str, options: str, message: str) -> None:
    with pytest.raises(RecipeError) as raised:
        parse_recipe(recipe(tmp_path, function, options), load_tables(), this_host())
    assert message.format(folder=tmp_path) in str(raised.value)
