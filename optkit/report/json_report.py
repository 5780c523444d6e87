"""`report.json`: everything about a run, and its JSON Schema."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from optkit.core.errors import UsageError
from optkit.core.gates import RULES
from optkit.core.results import REPORT_VERSION, RunReport
from optkit.core.schema import json_schema
from optkit.report.codec import NON_FINITE, encode, load
from optkit.report.files import write_text

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA_ID = f"https://github.com/optkit/optkit/docs/schemas/report-v{REPORT_VERSION}.schema.json"
_ATTRIBUTE = re.compile(r"^    (\w+): (.+)$", re.MULTILINE)


def write_json(report: RunReport, path: Path) -> None:
    """Writes a report.

    Raises:
        UsageError: The folder cannot be written.
        StepFailed: The disk is full or failing.
    """
    write_text(path, encode(report))


def read_json(path: Path) -> RunReport:
    """Reads a report.

    Raises:
        UsageError: The file is absent, damaged, foreign or of another version.
    """
    report = load(RunReport, path)
    for candidate in report.candidates:
        for verdict in candidate.verdicts:
            if verdict.rule not in RULES:
                raise UsageError(f"{path}: unknown rule {verdict.rule!r} of gate {verdict.gate!r}")
    return report


def schema() -> dict[str, Any]:
    """Returns the JSON Schema (draft 2020-12) of `report.json`."""
    document = _with_non_finite(json_schema(RunReport))
    for part in (document, *document["$defs"].values()):
        _describe(part)
    document["$defs"]["NonFinite"] = {
        "description": "A number that JSON cannot hold: not a number, or an infinity.",
        "enum": list(NON_FINITE),
    }
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SCHEMA_ID, **document}


def _with_non_finite(node: Any) -> Any:  # noqa: ANN401  # any JSON value
    if isinstance(node, list):
        return [_with_non_finite(item) for item in node]
    if not isinstance(node, dict):
        return node
    rest = {key: _with_non_finite(value) for key, value in node.items() if key != "type"}
    if node.get("type") == "number":
        return {"anyOf": [{"type": "number"}, {"$ref": "#/$defs/NonFinite"}], **rest}
    return {**rest, "type": node["type"]} if "type" in node else rest


def _describe(part: dict[str, Any]) -> None:
    """Moves a docstring's `Attributes:` section to the properties that it describes."""
    text, _, attributes = part.get("description", "").partition("\n\nAttributes:\n")
    for name, description in _ATTRIBUTE.findall(attributes):
        if name in part["properties"]:
            part["properties"][name]["description"] = description
    if text:
        part["description"] = text
