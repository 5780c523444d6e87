"""Drawing with matplotlib, the same bytes for the same numbers on any machine."""

from __future__ import annotations

import io
import logging
import math
import warnings
from typing import TYPE_CHECKING, Any, Literal

from optkit.report.format import one_line
from optkit.report.html.svg import SERIES, colour, inline

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from optkit.report.html.markup import Markup

WIDTH = 330.0
"""Points: about the width of a phone, where a figure is then shown in its own size."""
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (2, 1.5)), (0, (6, 2, 1, 2)), "-", (0, (5, 2)), (0, (2, 1.5)))
"""Style of the line of each series: colours alone do not tell them apart."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_LABEL = 26
_POINTS_PER_INCH = 72
_RIGHT, _GAP, _LETTER = 14, 12, 6.2
"""Points: room at the right, beside a label, and for each letter of it."""
_TICKS = 5
_WIDE = 5.0
"""Values further apart than this factor are shown on a logarithmic axis."""
_DECADES = 2.0
"""With more than these, only powers of ten are labelled."""


def draw(key: str, height: float, title: str, description: str, paint: Callable[[Figure], None]) -> Markup:
    """Returns a figure as an element of the page.

    Args:
        key: Names it; unique in the page.
        height: In points.
        title: What a screen reader calls it.
        description: What it says of it.
        paint: Draws into the empty figure.
    """
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)  # it tells when it looks for fonts
    from matplotlib import style
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    # A user's own matplotlibrc must not change the page.
    with style.context(["default", _style(key)]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # the browser has others
        figure = Figure(figsize=(WIDTH / _POINTS_PER_INCH, height / _POINTS_PER_INCH))
        margins(figure)
        paint(figure)
        for axes in figure.axes:
            _thin(axes)
        out = io.StringIO()
        # Not savefig, which draws everything twice.
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        FigureCanvasSVG(figure).print_svg(out, metadata=nothing)  # type: ignore[no-untyped-call]  # its stub has no types
    return inline(out.getvalue(), key, title, description)


def margins(canvas: Figure, left: float = 54, bottom: float = 38, top: float = 10) -> None:
    """Sets the room for labels, in points; measuring every text for it would take longer than drawing."""
    width, height = (inches * _POINTS_PER_INCH for inches in canvas.get_size_inches())
    canvas.subplots_adjust(left / width, bottom / height, 1 - _RIGHT / width, 1 - top / height)


def series_colour(index: int) -> str:
    """Returns the colour of a subject: the baseline is 0, candidates follow."""
    return colour(f"series-{index if index < SERIES else (index - 1) % (SERIES - 1) + 1}")


def label(text: str, most: int = _LABEL) -> str:
    """Returns a text that fits beside an axis, its middle left out if need be, and that XML can hold."""
    text = one_line(text)
    if len(text) <= most:
        return text
    tail = (most - 1) // 2
    return f"{text[: most - 1 - tail]}…{text[-tail:]}"


def rows(canvas: Figure, axes: Axes, labels: list[str], bottom: float = 38) -> None:
    """Labels the rows 0, 1, … from the top."""
    shown = [label(text) for text in labels]
    margins(canvas, _GAP + _LETTER * max(map(len, shown)), bottom)
    axes.set_yticks(range(len(labels)), shown)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)


def spread(axes: Axes, which: Literal["x", "y"], values: Sequence[float]) -> None:
    """Lets an axis start at 0, or makes it logarithmic where positive values lie far apart."""
    if max(values) <= _WIDE * min(values):
        axes.set(**{f"{which}lim": (0, 1.08 * max(values))})
        return
    from matplotlib.ticker import FuncFormatter, LogLocator

    axes.set(**{f"{which}scale": "log"})
    axis = axes.xaxis if which == "x" else axes.yaxis
    decades = math.log10(max(values) / min(values))
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if decades < _DECADES else (1.0,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))


def _thin(axes: Axes) -> None:
    """Leaves an axis with few ticks: more would touch on a phone, and most of the time of drawing goes into them."""
    from matplotlib.ticker import AutoLocator

    axes.minorticks_off()
    for axis, most in ((axes.xaxis, _TICKS - 1), (axes.yaxis, _TICKS)):
        locator = axis.get_major_locator()
        if isinstance(locator, AutoLocator):
            locator.set_params(nbins=most)


def _style(key: str) -> dict[str, Any]:
    ink, muted, grid = colour("ink"), colour("muted"), colour("grid")
    return {
        "svg.fonttype": "none", "svg.hashsalt": key, "text.parse_math": False, "font.size": 10.0,
        "figure.facecolor": "none", "savefig.facecolor": "none", "axes.facecolor": "none", "axes.edgecolor": grid,
        "axes.labelcolor": muted, "axes.titlecolor": ink, "axes.titlesize": 10.0, "axes.titlelocation": "left",
        "text.color": ink, "xtick.color": grid, "ytick.color": grid, "xtick.labelcolor": muted,
        "ytick.labelcolor": ink, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True,
        "axes.axisbelow": True, "grid.color": grid, "grid.linewidth": 0.8, "lines.linewidth": 1.8,
        "lines.solid_capstyle": "round", "axes.formatter.useoffset": False,
    }  # fmt: skip
