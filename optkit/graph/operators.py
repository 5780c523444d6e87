"""Checks that every operator of a graph exists."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from optkit.core.errors import UsageError
from optkit.graph.walk import nodes

if TYPE_CHECKING:
    from pathlib import Path

    import onnx_ir as ir

WITH_SCHEMAS = frozenset({"", "ai.onnx", "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview.training"})
"""Domains whose schemas the `onnx` package holds."""
CONTRIB = frozenset({"com.microsoft", "com.microsoft.experimental", "com.microsoft.nchwc", "com.ms.internal.nhwc"})
"""Domains of ONNX Runtime: whether it knows the operator is seen when a session is created."""


def check_operators(model: ir.Model, path: Path) -> None:
    """Checks each node's operator against the schemas of the operator sets that the model imports.

    Raises:
        UsageError: Names the node and its operator.
    """
    versions = {_plain(domain): version for domain, version in model.opset_imports.items()}
    functions = {(_plain(domain), name) for domain, name, _ in model.functions}
    _check_known(versions, path)
    for node in nodes(model):
        domain = _plain(node.domain)
        if (domain, node.op_type) in functions or domain in CONTRIB:
            continue
        if domain not in WITH_SCHEMAS or not _exists(node.op_type, domain, versions.get(domain)):
            raise UsageError(_unknown(node, domain, versions, path), hint=_near_miss(node.op_type, domain))


def _check_known(versions: dict[str, int], path: Path) -> None:
    import onnx.defs

    newest = onnx.defs.onnx_opset_version()
    if versions.get("", 1) > newest:
        raise UsageError(
            f"{path.name}: needs operator set {versions['']}; the installed onnx knows up to {newest}",
            hint="export it at an older operator set, or upgrade onnx",
        )


def _plain(domain: str) -> str:
    return "" if domain == "ai.onnx" else domain


def _exists(op_type: str, domain: str, version: int | None) -> bool:
    import onnx.defs

    if version is None or not onnx.defs.has(op_type, domain=domain, max_inclusive_version=version):
        return False
    return not onnx.defs.get_schema(op_type, max_inclusive_version=version, domain=domain).deprecated


def _unknown(node: ir.Node, domain: str, versions: dict[str, int], path: Path) -> str:
    label = f"{domain}::{node.op_type}" if domain else node.op_type
    name = f"node {node.name!r}" if node.name else f"the node that computes {node.outputs[0].name!r}"
    where = f"operator set {versions[domain]}" if domain in versions else "the imported operator sets"
    return f"{path.name}: {name} uses the operator {label}, which is not in {where}"


def _near_miss(op_type: str, domain: str) -> str:
    import onnx.defs

    names = {schema.name for schema in onnx.defs.get_all_schemas() if schema.domain == domain}
    close = difflib.get_close_matches(op_type, names, n=1)
    return (
        f"did you mean {close[0]}?" if close else "a custom operator must be replaced before optkit can use the model"
    )
