"""What recipes may name, with descriptions, for `optkit passes`."""

from __future__ import annotations

from typing import Any

from optkit.core.linking import IMPORT
from optkit.workflow.schemas import inlined_schema
from optkit.workflow.tables import load_tables


def catalogue() -> dict[str, dict[str, dict[str, Any]]]:
    """Returns section → name → description and options (name → text)."""
    tables = load_tables()
    kinds = {"passes": tables.passes, "metrics": tables.metrics, "serving runtimes": tables.emitters}
    found = {
        section: {name: _described(kind) for name, kind in sorted(table.items()) if name != IMPORT}
        for section, table in kinds.items()
    }
    targets = {
        name: {"description": f"runs in {target.runtime}", "options": {}} for name, target in tables.targets.items()
    }
    return {**found, "targets": targets}


def _described(kind: type) -> dict[str, Any]:
    schema = inlined_schema(kind)
    options = {name: _option(part) for name, part in schema.get("properties", {}).items()}
    return {"description": schema.get("description", "").splitlines()[0], "options": options}


def _option(part: dict[str, Any]) -> str:
    choices = f" ({', '.join(map(str, part['enum']))})" if "enum" in part else ""
    default = f" [default: {part['default']}]" if part.get("default") not in (None, []) else ""
    return f"{part.get('description', '')}{choices}{default}"
