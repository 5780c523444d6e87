"""Whether a graph can become an engine: asked of the parser where the library is here, of our rules where it is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optkit.core.errors import MissingDependency, UsageError
from optkit.graph.tensorrt_scan import may_be_misread
from optkit.runtimes.tensorrt.parsing import parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from optkit.graph.tensorrt_rules import Refusal
    from optkit.runtimes.tensorrt.library import Library
    from optkit.runtimes.tensorrt.parsing import ParserError

_SHOWN = 20


def check_graph(path: Path, library: Library) -> tuple[list[Refusal], str]:
    """Returns every node that keeps the ONNX file at `path` from becoming an engine, and who says so.

    The parser stops at the first node of some kinds, so that our rules complete its list.

    Raises:
        UsageError: The file is no ONNX model, or is broken.
    """
    by_rule = rule_refusals(path)
    try:
        errors = parse(library.load(), path).errors
    except MissingDependency as error:
        return by_rule, f"optkit's rules ({error.message})"
    return combine(by_rule, errors, path), f"the parser of {library.name} {library.version}"


def refused(errors: Sequence[ParserError], path: Path) -> list[Refusal]:
    """Returns what keeps the file at `path` from becoming an engine, given what the parser says of it.

    Our rules have to load the model: they are asked only if the parser refuses it, or may have misread it.
    """
    return combine(rule_refusals(path), errors, path) if errors or may_be_misread(path) else []


def rule_refusals(path: Path) -> list[Refusal]:
    """Returns what our rules say of the file at `path`."""
    from optkit.graph.load import load_model
    from optkit.graph.quiet import quiet
    from optkit.graph.shapes import refresh_shapes
    from optkit.graph.tensorrt_rules import refusals

    model = load_model(path)
    with quiet():
        refresh_shapes(model)
    return refusals(model)


def combine(by_rule: Sequence[Refusal], errors: Sequence[ParserError], path: Path) -> list[Refusal]:
    """Returns what the parser refuses and, if it refuses anything, what our rules expect it to refuse after that.

    What it takes and misreads counts in any case.
    """
    if not errors:
        return [each for each in by_rule if each.silent]
    known = {each.node for each in by_rule}
    new = [error for error in errors if not error.node or error.node not in known]
    explained = any(not each.silent for each in by_rule)
    added = [each for each in _from_parser(new, path) if each.node or not explained]
    return [*by_rule, *added]


def require_ready(found: Sequence[Refusal], target: str) -> None:
    """Refuses a graph of which anything was found.

    Raises:
        UsageError: Lists the nodes.
    """
    if not found:
        return
    lines = [f"  {describe(each)}" for each in found[:_SHOWN]]
    more = [f"  … and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
    raise UsageError("\n".join([f"{headline(found, target)}:", *lines, *more]), hint=advice(found))


def headline(found: Sequence[Refusal], target: str) -> str:
    """Returns how many nodes are refused, in words."""
    nodes_found = "1 node keeps" if len(found) == 1 else f"{len(found)} nodes keep"
    return f"{nodes_found} the graph from becoming an engine of {target}"


def advice(found: Sequence[Refusal]) -> str:
    """Returns what to do about all of them."""
    return "; ".join(dict.fromkeys(each.advice for each in found))


def describe(found: Refusal) -> str:
    """Returns one line about a node: what it is, where it comes from and what is wrong."""
    name = " ".join(filter(None, [found.operator, found.node])) or "the graph"
    where = f" ({found.source})" if found.source else ""
    return f"{name}{where}: {found.reason}"


def _from_parser(errors: Sequence[ParserError], path: Path) -> Iterator[Refusal]:
    from optkit.graph.load import load_model
    from optkit.graph.tensorrt_rules import REPLACE, Refusal, source_of
    from optkit.graph.walk import nodes

    if not errors:
        return
    sources = {node.name: source_of(node) for node in nodes(load_model(path))}
    for error in dict.fromkeys(errors):
        reason = "the parser has no such operator" if error.text == "false" else error.text
        yield Refusal(error.node, error.operator, sources.get(error.node, ""), reason, REPLACE)
