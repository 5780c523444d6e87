"""What calibration saw of each tensor, and the range that was chosen from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from optkit.report import format as show
from optkit.report.html.blocks import Section, figure, folded, section, table
from optkit.report.html.markup import joined
from optkit.report.html.notes import noted, number, text
from optkit.report.html.plot import draw, label, margins
from optkit.report.html.svg import colour
from optkit.report.tables import Row, Sheet

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from optkit.core.results import RunReport
    from optkit.report.html.markup import Markup

    Record = Mapping[str, Any]

_DRAWN, _COLUMNS = 8, 2
_LISTED = 200
_HEADER = ("tensor", "seen from", "to", "range from", "to ", "clipped", "method", "SQNR of the range")


def calibration(report: RunReport) -> Section | None:
    """Returns the histograms of the tensors that lose most, and the ranges of all."""
    parts = [_step(step.name, found, index) for index, (step, found) in enumerate(noted(report, "ranges"))]
    if not parts:
        return None
    return section(
        "calibration", "Calibration",
        "What the calibration data showed of the activations. Values outside the chosen range (shaded) are clipped; a "
        "narrower range rounds the others more finely.",
        joined(parts),
    )  # fmt: skip


def _step(name: str, records: Sequence[Record], index: int) -> Markup:
    worst = sorted((record for record in records if _bins(record)), key=_ratio)
    shown = worst[:_DRAWN]
    sheet = Sheet(_HEADER, tuple(map(_row, sorted(records, key=_ratio)[:_LISTED])))
    rest = f", the {_LISTED} worst of {len(records)}" if len(records) > _LISTED else ""
    return joined([
        _drawing(name, shown, index) if shown else None,
        folded(f"{name}: ranges of {min(len(records), _LISTED)} tensors{rest}", table(sheet, f"Ranges of {name}")),
    ])  # fmt: skip


def _drawing(name: str, shown: Sequence[Record], index: int) -> Markup:
    lines = -(-len(shown) // _COLUMNS)

    def paint(canvas: Figure) -> None:
        margins(canvas, left=6, bottom=22, top=18)
        canvas.subplots_adjust(wspace=0.12, hspace=0.62)
        for place, record in enumerate(shown):
            _histogram(canvas.add_subplot(lines, _COLUMNS, place + 1), record)

    said = "; ".join(f"{text(record, 'tensor')}: {_range(record)}" for record in shown)
    drawing = draw(f"ranges-{index}", 16 + 104 * lines, f"Histograms of {name}", said, paint)
    return figure(drawing, f"{name}: the tensors that their range costs most, counts on a logarithmic scale.")


def _histogram(axes: Axes, record: Record) -> None:
    counts, first, last = _bins(record), number(record, "min") or 0.0, number(record, "max") or 0.0
    width = (last - first) / len(counts)
    edges = [first + width * place for place in range(len(counts) + 1)]
    low, high = number(record, "low") or 0.0, number(record, "high") or 0.0
    axes.axvspan(low, high, color=colour("good"), alpha=0.13, linewidth=0)
    axes.stairs(counts, edges, fill=True, color=colour("series-1"), linewidth=0)
    for end in (low, high):
        axes.axvline(end, color=colour("good"), linewidth=1.3)
    axes.set_yscale("log", nonpositive="clip")
    axes.set_ylim(0.5, max(counts) * 2)
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="x", labelsize=8.5)
    axes.set_title(label(text(record, "tensor"), 24), fontsize=9)


def _bins(record: Record) -> list[float]:
    """Returns the counts of a histogram that can be drawn, or none."""
    counts = record.get("histogram")
    first, last = number(record, "min"), number(record, "max")
    if not isinstance(counts, list | tuple) or first is None or last is None or not first < last:
        return []
    values = [float(count) for count in counts if isinstance(count, int | float) and 0 <= count < float("inf")]
    return values if len(values) == len(counts) and any(values) else []


def _ratio(record: Record) -> float:
    found = number(record, "sqnr_db")
    return float("inf") if found is None else found


def _range(record: Record) -> str:
    return " to ".join(map(_shown, (number(record, "low"), number(record, "high"))))


def _row(record: Record) -> Row:
    ratio = number(record, "sqnr_db")
    ends = [_shown(number(record, name)) for name in ("min", "max", "low", "high")]
    decibels = show.NONE if ratio is None else f"{ratio:.1f} dB"
    name, method = show.one_line(text(record, "tensor")), show.one_line(text(record, "method"))
    return Row((name, *ends, _clipped(record), method, decibels))


def _clipped(record: Record) -> str:
    """Returns the share of the values outside the range, as far as bins tell; only the worst tensors keep theirs."""
    counts, first, last = _bins(record), number(record, "min"), number(record, "max")
    low, high = number(record, "low"), number(record, "high")
    if not counts or first is None or last is None or low is None or high is None:
        return show.NONE
    width = (last - first) / len(counts)
    middles = (first + width * (place + 0.5) for place in range(len(counts)))
    outside = sum(count for count, middle in zip(counts, middles, strict=True) if not low <= middle <= high)
    return f"{100 * outside / sum(counts):.2g} %"


def _shown(value: float | None) -> str:
    return show.NONE if value is None else show.number(value)
