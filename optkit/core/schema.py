"""JSON Schema of option dataclasses, with the text below each field as its description."""

from __future__ import annotations

import ast
import inspect
import textwrap
from itertools import pairwise
from typing import Any

# What every dataclass that a user fills in gives to pydantic.
STRICT: dict[str, Any] = {"extra": "forbid", "strict": True}


def field_docs(kind: type) -> dict[str, str]:
    """Returns field → the string that stands below it in the source of `kind` or of its bases."""
    docs: dict[str, str] = {}
    for base in reversed(kind.__mro__[:-1]):
        docs |= _own_docs(base)
    return docs


def json_schema(kind: Any) -> dict[str, Any]:  # noqa: ANN401  # a type form
    """Returns the JSON Schema of a dataclass, fields of nested ones described too."""
    import pydantic
    from pydantic.json_schema import GenerateJsonSchema

    class Documented(GenerateJsonSchema):
        # pydantic can read these texts itself, but then it does so whenever a recipe is checked, which takes longer
        # than the whole check.
        def dataclass_schema(self, schema: Any) -> Any:  # noqa: ANN401  # pydantic's types
            result = super().dataclass_schema(schema)
            for name, text in field_docs(schema["cls"]).items():
                result["properties"].get(name, {}).setdefault("description", text)
            return result

    return pydantic.TypeAdapter(kind).json_schema(schema_generator=Documented)


def _own_docs(kind: type) -> dict[str, str]:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    except (OSError, TypeError):
        return {}
    body = tree.body if isinstance(tree, ast.ClassDef) else []
    return {
        field.target.id: inspect.cleandoc(text.value.value)
        for field, text in pairwise(body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }
