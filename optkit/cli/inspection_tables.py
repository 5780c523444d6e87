"""Tables of `optkit inspect`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import click

from optkit.cli.tables import print_rows
from optkit.report import format as fmt

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from optkit.graph.cost import ModelCost
    from optkit.graph.inspect import End, Inspection
    from optkit.workflow.inspecting import Readiness

_ROWS = 20


def print_inspection(found: Inspection) -> None:
    """Prints the facts about a graph."""
    _section("inputs", map(_end, found.inputs))
    _section("outputs", map(_end, found.outputs))
    _section("dynamic dimensions", ([name, _range(sizes)] for name, sizes in found.dims.items()))
    _section("operators", ([name, str(count)] for name, count in found.operators.items()))
    _section("weights", _weights(found))
    _section(f"one run{_sizes(found.cost.sizes)}", _cost(found.cost))
    _section("MACs by operator", ([name, f"{macs:,}"] for name, macs in found.cost.operators.items()))
    _section("largest activations", ([name, fmt.size(size)] for name, size in found.cost.activations.items()))
    _section("not counted", _grouped(found.cost.uncounted))
    if found.quantized:
        _section("precision", ([name, _shares(counts)] for name, counts in found.precisions.items()))
    click.echo(f"opsets: {_listed(found.opsets)}")
    click.echo(f"nodes: {found.nodes} ({_listed(found.domains)}){_parts(found)}")
    click.echo(f"quantized: {'yes' if found.quantized else 'no'}")


def print_readiness(found: Readiness) -> None:
    """Prints what keeps a graph from becoming an engine."""
    rows = ([each.operator, each.node, each.source, each.reason] for each in found.refusals)
    _section(f"refused by {found.target}", rows)
    click.echo(f"asked: {found.judge}")
    if not found.refusals:
        click.echo(f"ready: every node can become part of an engine of {found.target}")


def _section(title: str, rows: Iterator[Sequence[str]] | Sequence[Sequence[str]]) -> None:
    shown = [["", *map(fmt.one_line, row)] for row in rows]
    if not shown:
        return
    click.secho(title, bold=True)
    print_rows(shown[:_ROWS])
    if len(shown) > _ROWS:
        click.echo(f"  … {len(shown) - _ROWS} more; --json shows all")


def _end(end: End) -> Sequence[str]:
    return end.name, end.dtype, "unknown rank" if end.shape is None else f"[{', '.join(map(str, end.shape))}]"


def _range(sizes: Mapping[str, int]) -> str:
    return f"{sizes['min']} to {sizes['max']}, tuned for {sizes['opt']}"


def _weights(found: Inspection) -> Iterator[Sequence[str]]:
    yield "parameters", f"{found.parameters:,}"
    yield "bytes", fmt.size(found.weight_bytes)
    yield from ((f"as {name}", fmt.size(count)) for name, count in found.weight_types.items())
    yield from ((name, fmt.size(count)) for name, count in found.largest.items())


def _sizes(sizes: Mapping[str, int]) -> str:
    return " at " + ", ".join(f"{name}={size}" for name, size in sizes.items()) if sizes else ""


def _cost(cost: ModelCost) -> Iterator[Sequence[str]]:
    where = _where(cost)
    yield "MACs", f"{cost.macs.value:,}", _formula(cost, cost.macs.formula, where)
    yield "FLOPs", f"{cost.flops.value:,}", _formula(cost, cost.flops.formula, where)
    peak = fmt.size(cost.peak_bytes.value) + (f" and {cost.unsized} tensors of unknown size" if cost.unsized else "")
    yield "activations", peak, _formula(cost, cost.peak_bytes.formula, where, "bytes")


def _formula(cost: ModelCost, formula: str, where: str, unit: str = "") -> str:
    if not cost.sizes:
        return ""
    return (
        f"= {formula}{f' {unit}' if unit else ''}{where}" if formula else "(no formula in these dimensions was found)"
    )


def _where(cost: ModelCost) -> str:
    parts = [f"{name} = {cost.sizes[name]} ± {step}·k" for name, step in cost.steps.items()]
    return f" where {', '.join(parts)}" if parts else ""


def _grouped(uncounted: Mapping[str, str]) -> Iterator[Sequence[str]]:
    """One line per operator and reason, with the first node's name."""
    counts = Counter((label.split(" ")[0], why) for label, why in uncounted.items())
    for (operator, why), count in counts.items():
        first = next(label for label, reason in uncounted.items() if label.split(" ")[0] == operator and reason == why)
        yield first if count == 1 else f"{first} and {count - 1} more", why


def _shares(precisions: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {precision}" for precision, count in precisions.items())


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def _parts(found: Inspection) -> str:
    parts = [(found.subgraphs, "subgraphs"), (found.functions, "functions")]
    return "".join(f", {count} {name}" for count, name in parts if count)
