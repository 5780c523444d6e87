"""Tables of `optkit inspect --quantization`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from optkit.cli.tables import print_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from optkit.workflow.quantization_report import QuantizationReport

_ROWS = 40
_LONGEST = 48


def print_quantization(found: QuantizationReport) -> None:
    """Prints precisions by operator, what is not quantized and why, and each quantized tensor, the worst first."""
    click.secho("precision of the graph's nodes", bold=True)
    print_rows([["", operator, _shares(precisions)] for operator, precisions in found.counts.items()])
    if found.runtime_error:
        click.echo(found.runtime_error)
    elif found.runtime:
        click.secho("in int8 after ONNX Runtime's optimiser", bold=True)
        print_rows([["", name, f"{int8} of {total}"] for name, (int8, total) in found.runtime.items()])
    reasons = [[_short(node["name"]), node["operator"], node["precision"], node["reason"]] for node in found.left_out]
    _section("not quantized", ["node", "operator", "precision", "why"], reasons)
    # A tensor without a ratio comes last.
    worst = sorted(found.tensors, key=lambda row: float("inf") if row["sqnr_db"] is None else row["sqnr_db"])
    head = ["tensor", "role", "type", "scales", "scale", "zero point", "range", "saturated", "SQNR"]
    _section("quantized tensors", head, [_tensor(row) for row in worst])


def _section(title: str, head: list[str], rows: Sequence[list[str]]) -> None:
    if not rows:
        return
    click.secho(title, bold=True)
    print_rows([["", *row] for row in (head, *rows[:_ROWS])])
    if len(rows) > _ROWS:
        click.echo(f"  … {len(rows) - _ROWS} more; --json shows all")


def _shares(precisions: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {precision}" for precision, count in precisions.items())


def _tensor(row: Mapping[str, Any]) -> list[str]:
    return [
        _short(row["name"]),
        row["role"],
        row["kind"],
        _layout(row),
        _ends(row["scale"], "at run time"),
        _ends(row["zero_point"]),
        "" if row["range"] is None else f"[{row['range'][0]:.4g}, {row['range'][1]:.4g}]{_method(row)}",
        "" if row["saturated"] is None else f"{row['saturated']:.2%}",
        "" if row["sqnr_db"] is None else f"{row['sqnr_db']:.1f} dB{' (rescaled)' if row['rescaled'] else ''}",
    ]


def _method(row: Mapping[str, Any]) -> str:
    return f" by {row['method']}" if row["method"] else ""


def _layout(row: Mapping[str, Any]) -> str:
    if row["axis"] is None:
        return str(row["scales"] or "")
    return f"{row['scales']} on axis {row['axis']}" + (f", blocks of {row['block']}" if row["block"] else "")


def _ends(ends: tuple[float, float] | None, absent: str = "") -> str:
    if ends is None:
        return absent
    return f"{ends[0]:.4g}" if ends[0] == ends[1] else f"{ends[0]:.3g} to {ends[1]:.3g}"


def _short(name: str) -> str:
    """The end of a long name tells more than its start."""
    return name if len(name) <= _LONGEST else f"…{name[-_LONGEST:]}"
