"""How much noise quantization left in each tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from optkit.report import format as show
from optkit.report.html.blocks import Section, figure, folded, grid, section, table
from optkit.report.html.markup import joined
from optkit.report.html.notes import noted, number, text
from optkit.report.html.plot import draw, label, rows
from optkit.report.html.svg import colour
from optkit.report.tables import Row, Sheet

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.figure import Figure

    from optkit.core.results import RunReport
    from optkit.report.html.markup import Markup

    Record = Mapping[str, Any]

_WORST = 10
_NOISY = 20.0
"""dB: noise of a tenth of the signal."""


def layers(report: RunReport) -> Section | None:
    """Returns the signal-to-noise ratio of the tensors, in the order in which they are made."""
    parts = [_step(step.name, found, index) for index, (step, found) in enumerate(noted(report, "layers"))]
    parts = [part for part in parts if part]
    if not parts:
        return None
    return section(
        "layers", "Noise by layer",
        "Each tensor of the quantized graph against the same one before, on a batch of data: the ratio of signal to "
        "noise (SQNR). It holds what all layers before added. Below 20 dB, noise is above a tenth of the signal.",
        joined(parts),
    )  # fmt: skip


def _step(name: str, records: Sequence[Record], index: int) -> Markup | None:
    known = [(record, ratio) for record in records if (ratio := number(record, "sqnr_db")) is not None]
    if not known:
        return None
    worst = sorted(known, key=lambda pair: pair[1])[:_WORST]
    said = "; ".join(f"{text(record, 'tensor')}: {ratio:.1f} dB" for record, ratio in worst[:3])
    ratios = [ratio for _, ratio in known]
    course = draw(
        f"layers-{index}", 230, f"SQNR along the graph of {name}", said, lambda canvas: _course(canvas, ratios)
    )
    bars = draw(f"worst-{index}", 44 + 20 * len(worst), f"The noisiest tensors of {name}", said,
                lambda canvas: _bars(canvas, worst))  # fmt: skip
    sheet = Sheet(("tensor", "operator", "SQNR"), tuple(_row(record) for record in records))
    return joined([
        grid(
            figure(course, f"{name}: SQNR along the graph, the first layer on the left."),
            figure(bars, f"{name}: the noisiest tensors."),
        ),
        folded(f"{name}: all {len(records)} tensors", table(sheet, f"SQNR of the tensors of {name}")),
    ])  # fmt: skip


def _course(canvas: Figure, ratios: Sequence[float]) -> None:
    axes = canvas.add_subplot()
    places = range(1, len(ratios) + 1)
    axes.axhspan(min(0.0, *ratios, _NOISY), _NOISY, color=colour("bad"), alpha=0.09, linewidth=0)
    axes.plot(places, ratios, color=colour("series-1"), linewidth=1.2, alpha=0.6)
    axes.plot(places, ratios, "o", color=colour("series-1"), markersize=4)
    axes.set_ylim(min(0.0, *ratios), max(ratios) * 1.1 + 5)
    axes.locator_params(axis="x", integer=True)
    axes.set_xlabel("tensor, in the graph's order")
    axes.set_ylabel("SQNR, dB")


def _bars(canvas: Figure, worst: Sequence[tuple[Record, float]]) -> None:
    axes = canvas.add_subplot()
    for row, (_, ratio) in enumerate(worst):
        axes.barh(row, ratio, 0.6, color=colour("bad" if ratio < _NOISY else "series-1"))
    rows(canvas, axes, [label(text(record, "tensor"), 20) for record, _ in worst])
    axes.set_xlabel("SQNR, dB")


def _row(record: Record) -> Row:
    ratio = number(record, "sqnr_db")
    shown = "exact" if ratio is None else f"{ratio:.1f} dB"
    return Row((show.one_line(text(record, "tensor")), show.one_line(text(record, "operator")), shown))
