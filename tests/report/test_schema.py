from __future__ import annotations

import json
import os
from pathlib import Path

from optkit.core.results import REPORT_VERSION
from optkit.report.json_report import SCHEMA_ID, schema

PUBLISHED = Path(__file__).parents[2] / "docs" / "schemas" / f"report-v{REPORT_VERSION}.schema.json"


def test_the_published_schema_is_that_of_the_report() -> None:
    text = json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        PUBLISHED.write_text(text, encoding="utf-8")
    assert text == PUBLISHED.read_text(encoding="utf-8"), "run this test with UPDATE_GOLDEN=1"


def test_its_name_holds_the_version() -> None:
    document = schema()
    assert document["$id"] == SCHEMA_ID
    assert SCHEMA_ID.endswith(f"docs/schemas/{PUBLISHED.name}")
    assert document["properties"]["version"]["const"] == REPORT_VERSION


def test_every_field_is_described() -> None:
    document = schema()
    parts = {"RunReport": document, **document["$defs"]}
    bare = [f"{name}.{key}" for name, part in parts.items() for key, field in part.get("properties", {}).items()
            if "description" not in field]  # fmt: skip
    assert bare == []
