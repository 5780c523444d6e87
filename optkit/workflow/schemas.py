"""JSON Schemas, made from the same declarations that check a recipe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from optkit.core.branching import AUTO
from optkit.core.gates import Gate
from optkit.core.linking import IMPORT
from optkit.core.objective import Objective
from optkit.core.recipe import DataSpec, MeasureSpec, ModelSpec
from optkit.core.schema import json_schema
from optkit.workflow.tables import load_tables

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def recipe_schema() -> dict[str, Any]:
    """Returns the JSON Schema (2020-12) of a recipe, with every pass, metric and serving runtime that is installed."""
    tables = load_tables()
    objective = inlined_schema(Objective)
    passes = {name: kind for name, kind in tables.passes.items() if name != IMPORT}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "optkit recipe",
        "type": "object",
        "additionalProperties": False,
        "required": ["name", "model", "steps"],
        "properties": {
            "name": {"type": "string", "description": "Name of the model; serving runtimes use it."},
            "model": inlined_schema(ModelSpec),
            "data": {"type": "object", "additionalProperties": inlined_schema(DataSpec)},
            "metrics": {"type": "object", "additionalProperties": {"oneOf": list(_metrics(tables.metrics))}},
            "target": {"enum": [*sorted(tables.targets), AUTO], "description": "What the candidates are made for."},
            "targets": {
                "type": "array",
                "minItems": 1,
                "uniqueItems": True,
                "items": {"enum": sorted(tables.targets)},
                "description": "Makes a candidate for each of these, and keeps the best by the objective.",
            },
            "objective": {"anyOf": [objective, objective["properties"]["kind"]]},
            "steps": {"type": "array", "minItems": 1, "items": {"oneOf": list(_steps(passes))}},
            "gates": {"type": "object", "additionalProperties": inlined_schema(Gate)},
            "measure": inlined_schema(MeasureSpec),
            "package": _named(tables.emitters),
        },
    }


def _metrics(metrics: Mapping[str, type]) -> Iterable[dict[str, Any]]:
    for name, kind in sorted(metrics.items()):
        schema = inlined_schema(kind)
        schema["properties"] |= {
            "kind": {"const": name},
            "data": {"type": "string", "default": "evaluation", "description": "Part of the data that it judges on."},
        }
        schema["required"] = ["kind", *schema.get("required", [])]
        yield schema


def _steps(passes: Mapping[str, type]) -> Iterable[dict[str, Any]]:
    yield {"enum": sorted(passes), "description": "A pass with its default options."}
    for name, kind in sorted(passes.items()):
        yield {
            "type": "object",
            "additionalProperties": False,
            "required": [name],
            "properties": {
                "id": {"type": "string", "description": "Name of the step; the pass's by default."},
                "from": {"type": "string", "description": "Earlier step to continue; the previous one by default."},
                name: {"anyOf": [inlined_schema(kind), {"type": "null"}]},
            },
        }


def _named(kinds: Mapping[str, type]) -> dict[str, Any]:
    properties = {name: {"anyOf": [inlined_schema(kind), {"type": "null"}]} for name, kind in sorted(kinds.items())}
    return {"type": "object", "additionalProperties": False, "properties": properties}


def inlined_schema(kind: type) -> dict[str, Any]:
    """Returns the schema of a dataclass with its definitions inlined, so that it can stand anywhere."""
    schema = json_schema(kind)
    definitions = schema.pop("$defs", {})
    inlined: dict[str, Any] = _inline(schema, definitions)
    return inlined


def _inline(value: Any, definitions: Mapping[str, Any]) -> Any:  # noqa: ANN401  # JSON
    if isinstance(value, list):
        return [_inline(item, definitions) for item in value]
    if not isinstance(value, dict):
        return value
    if "$ref" in value:
        return _inline(definitions[value["$ref"].rpartition("/")[2]], definitions)
    return {key: _inline(item, definitions) for key, item in value.items()}
