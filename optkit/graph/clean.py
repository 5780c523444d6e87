"""Removes what a machine leaves in a graph, and keeps what a person needs: the source line and the module.

Exporters write absolute paths, stack traces and the names of modules into node metadata. `optkit.source` (such as
`model.py:42`, relative to the recipe) and `optkit.scope` (such as `encoder.layers.0`) stay, and what optkit notes there
itself: who keeps a node in float, how a range was chosen.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

from optkit.graph.walk import nodes

if TYPE_CHECKING:
    import onnx_ir as ir

SOURCE = "optkit.source"
SCOPE = "optkit.scope"
FLOAT_BY = "optkit.float"
"""Who keeps a node of an int8 graph in float."""
RANGE_BY = "optkit.range"
"""How the range of the tensor that a QuantizeLinear reads was chosen."""

_PYTHON_FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+)')
_TRACED_FRAME = re.compile(r"^(?P<file>\S.*)\((?P<line>\d+)\): ", re.MULTILINE)


def clean(model: ir.Model, code: Path | None = None) -> None:
    """Strips doc strings and metadata from every node, value and graph, in place.

    Args:
        model: The graph.
        code: Folder of the user's code; lines in it are kept as `optkit.source`, relative to it.
    """
    for node in nodes(model):
        kept = _kept(node, code)
        node.metadata_props.clear()
        node.metadata_props.update(kept)
        node.doc_string = None
        for value in node.outputs:
            _bare(value)
    for graph in model.graphs():
        _bare(graph)
        for value in (*graph.inputs, *graph.initializers.values()):
            _bare(value)
    for function in model.functions.values():
        _bare(function)


def source_line(text: str, code: Path) -> str | None:
    """Returns the innermost line of the user's code in a stack trace, such as `model.py:42`."""
    found = [_relative(match, code) for match in _PYTHON_FRAME.finditer(text)]
    traced = [_relative(match, code) for match in _TRACED_FRAME.finditer(text)]
    return next((line for line in (*reversed(found), *traced) if line), None)


def _kept(node: ir.Node, code: Path | None) -> dict[str, str]:
    props = node.metadata_props
    trace = f"{props.get('pkg.torch.onnx.stack_trace', '')}\n{node.doc_string or ''}"
    kept = {
        SOURCE: props.get(SOURCE) or (source_line(trace, code) if code else None),
        FLOAT_BY: props.get(FLOAT_BY),
        RANGE_BY: props.get(RANGE_BY),
        SCOPE: props.get(SCOPE) or _scope(props.get("pkg.torch.onnx.name_scopes"), node.name or ""),
    }
    return {key: value for key, value in kept.items() if value}


def _scope(scopes: str | None, name: str) -> str | None:
    if scopes is None:  # a traced graph names its nodes /encoder/layers.0/MatMul
        return ".".join(name.strip("/").split("/")[:-1]) if name.startswith("/") else None
    try:
        path = ast.literal_eval(scopes)
    except (ValueError, SyntaxError):
        return None
    scope = str(path[-2]) if isinstance(path, list) and len(path) > 1 else ""
    return None if scope.startswith("_empty_nn_module_stack") else scope


def _relative(match: re.Match[str], code: Path) -> str | None:
    file = Path(match["file"])
    for root in (code, code.resolve()):
        if file.is_relative_to(root):
            return f"{file.relative_to(root).as_posix()}:{match['line']}"
    return None


def _bare(thing: ir.Value | ir.Graph | ir.Function) -> None:
    thing.metadata_props.clear()
    thing.doc_string = None
