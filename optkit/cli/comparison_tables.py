"""Tables of `optkit compare`, drawn in a terminal and plain lines elsewhere."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import click

from optkit.cli.tables import print_rows
from optkit.report import format as fmt

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from optkit.passes.layer_errors import LayerComparison, LayerError

_ROWS = 20
_SHA256 = 64
_SHARES = frozenset({"latency", "size", "memory"})


def print_differences(found: Mapping[str, Mapping[str, Any]], first: str, second: str) -> None:
    """Prints each section of a comparison; one that is equal says so."""
    for section, entries in found.items():
        if section == "nodes":
            _nodes(entries, first, second)
        elif section == "stored":
            _stored(entries)
        elif section == "numbers":
            _numbers(entries, first, second)
        elif section == "outputs":
            click.secho(section, bold=True)
            print_rows([["", name, *_errors(errors)] for name, errors in entries.items()])
        else:
            _changes(section, entries, first, second)


def print_layers(found: LayerComparison) -> None:
    """Prints each tensor's error in order, and where error enters."""
    rows = list(map(_layer, found.errors))
    _table("error per tensor", ["tensor", "made by", "max abs", "of scale", "cosine", "SQNR", "at"], rows, len(rows))
    if found.unmatched:
        click.echo(f"{found.unmatched} other tensors of the second graph have no namesake of their shape in the first")
    click.secho(verdict(found), bold=True)


def verdict(found: LayerComparison) -> str:
    """Returns where error enters, in one line."""
    bad = found.first_bad
    if bad is None:
        return f"no tensor is below {found.threshold_db:g} dB"
    source = f", {bad.source}" if bad.source else f", {bad.scope}" if bad.scope else ""
    return f"error enters at node {bad.node} ({bad.operator}{source}): tensor {bad.tensor} has {_ratio(bad)}"


def _layer(error: LayerError) -> Sequence[str]:
    return (
        error.tensor, error.operator, f"{error.max_abs:.3g}", f"{error.relative_to_scale:.3g}", f"{error.cosine:.6f}",
        _ratio(error), error.source or error.scope,
    )  # fmt: skip


def _ratio(error: LayerError) -> str:
    if error.rescaled_db is not None:
        left = "no error" if error.rescaled_db == math.inf else f"{error.rescaled_db:.1f} dB"
        return f"{error.sqnr_db:.1f} dB ({left} if rescaled)"
    if error.sqnr_db == math.inf:
        return "no error"
    if not math.isfinite(error.sqnr_db):
        return "no signal" if math.isfinite(error.max_abs) else "NaN or infinity"
    return f"{error.sqnr_db:.1f} dB"


def _changes(section: str, entries: Mapping[str, Any], first: str, second: str) -> None:
    if not entries:
        click.secho(section, bold=True)
        click.echo("  the same")
        return
    _pairs(section, entries, first, second)


def _pairs(title: str, entries: Mapping[str, Any], first: str, second: str) -> None:
    rows = [(name, _short(old), _short(new)) for name, (old, new) in entries.items()]
    if _drawn():
        _table(title, ["", first, second], rows)
    else:
        click.echo(title)
        _plain([["", name, f"{old} → {new}"] for name, old, new in rows])


def _numbers(candidates: Mapping[str, Any], first: str, second: str) -> None:
    """Prints each candidate's numbers in two runs, what was lost, and whether that says anything."""
    for candidate, numbers in candidates.items():
        rows = [
            (
                name,
                _value(name, each["before"]),
                _value(name, each["after"]),
                _lost(name, each["lost"]),
                each["meaning"],
            )
            for name, each in numbers.items()
        ]
        _table(f"numbers of {candidate}", ["", first, second, "lost", ""], rows)


def _value(name: str, value: float | None) -> str:
    if value is None:
        return "nothing"
    shown = {"latency": lambda speedup: f"speed-up {fmt.ratio(speedup)}", "size": fmt.size, "memory": fmt.size}
    return shown.get(name, fmt.number)(value)


def _lost(name: str, lost: Mapping[str, float] | None) -> str:
    if lost is None:
        return fmt.NONE
    share = name in _SHARES
    value, low, high = (
        f"{100 * lost[key]:.2f}" if share else fmt.number(lost[key]) for key in ("value", "lower", "upper")
    )
    bounds = "" if lost["lower"] == lost["upper"] else f" [{low}, {high}]"
    return f"{value}{' %' if share else ''}{bounds}"


def _nodes(found: Mapping[str, Any], first: str, second: str) -> None:
    removed = {name: (text, None) for name, text in found["removed"].items()}
    added = {name: (None, text) for name, text in found["added"].items()}
    counts = [(found["same"], "the same"), (len(found["changed"]), "changed"), (len(removed), "removed")]
    title = f"nodes: {_counted([*counts, (len(added), 'added')])}"
    _pairs(title, {**found["changed"], **removed, **added}, first, second)


def _stored(found: Mapping[str, Any]) -> None:
    groups = {name: found[name] for name in ("changed", "removed", "added")}
    shared = f"{found['shared']} shared ({fmt.size(found['shared_bytes'])})"
    click.secho(f"weights by content: {shared}, {_counted([(len(n), kind) for kind, n in groups.items()])}", bold=True)
    for kind, names in groups.items():
        if names:
            rest = f" and {len(names) - _ROWS} more" if len(names) > _ROWS else ""
            click.echo(f"  {kind}: {', '.join(map(fmt.one_line, names[:_ROWS]))}{rest}")


def _counted(counts: Sequence[tuple[int, str]]) -> str:
    return ", ".join(f"{count} {name}" for count, name in counts)


def _table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]], most: int = _ROWS) -> None:
    if not _drawn():
        click.echo(title)
        _plain([["", *row] for row in (header, *rows)], most + 1)
        return
    from optkit.cli.view import console
    from optkit.report.tables import Row, Sheet
    from optkit.report.terminal import section

    cells = tuple(Row(tuple(map(fmt.one_line, row))) for row in rows[:most])
    section(console(), title, Sheet(tuple(header), cells))
    _more(len(rows) - most)


def _plain(rows: Sequence[Sequence[str]], most: int = _ROWS) -> None:
    print_rows([[fmt.one_line(cell) for cell in row] for row in rows[:most]])
    _more(len(rows) - most)


def _more(count: int) -> None:
    if count > 0:
        click.echo(f"  … {count} more; --json shows all")


def _drawn() -> bool:
    import sys

    return sys.stdout.isatty()


def _errors(errors: Mapping[str, float]) -> Iterator[str]:
    return (f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in errors.items())


def _short(value: object) -> str:
    text = "nothing" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
    return f"{text[:12]}…" if len(text) == _SHA256 else text
