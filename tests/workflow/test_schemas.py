from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from optkit.core import yaml
from optkit.workflow.schemas import recipe_schema
from tests.conftest import ROOT

SCHEMA = recipe_schema()


def mnist() -> dict[str, Any]:
    data: dict[str, Any] = yaml.load(ROOT / "recipes" / "mnist" / "recipe.yaml").data
    return data


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_a_recipe_that_runs_fits_it() -> None:
    jsonschema.validate(mnist(), SCHEMA)


@pytest.mark.parametrize(
    ("section", "value"),
    [
        ("stepz", []),
        ("steps", ["quantise"]),
        ("steps", [{"quantize": {"ranges": "best"}}]),
        ("gates", {"top1": {"max_dropp": 0.1}}),
        ("target", "toaster"),
        ("package", {"triton": {"instances": 2}}),
    ],
)
def test_mistakes_do_not_fit_it(section: str, value: object) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(mnist() | {section: value}, SCHEMA)


def test_every_option_is_described() -> None:
    def undescribed(node: Any, path: str) -> list[str]:  # noqa: ANN401  # JSON
        if isinstance(node, list):
            return [name for index, item in enumerate(node) for name in undescribed(item, f"{path}[{index}]")]
        if not isinstance(node, dict):
            return []
        properties = node.get("properties", {})
        own = [f"{path}.{name}" for name, part in properties.items() if _is_option(part) and "description" not in part]
        return own + [name for key, item in node.items() for name in undescribed(item, f"{path}.{key}")]

    assert undescribed(SCHEMA["properties"]["steps"], "steps") == []
    assert undescribed(SCHEMA["properties"]["model"], "model") == []


def _is_option(part: dict[str, Any]) -> bool:
    return "default" in part
