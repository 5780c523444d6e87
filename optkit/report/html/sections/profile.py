"""Where the time goes: per kind of arithmetic, and the types of operator that take most."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optkit.report import format as show
from optkit.report.html.blocks import Section, figure, folded, grid, legend, section, table
from optkit.report.html.plot import draw, label, rows, series_colour
from optkit.report.profiles import profiles, slowest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.figure import Figure

    from optkit.core.results import Profile, RunReport
    from optkit.report.html.markup import Markup

_KINDS = {"int8": 1, "conversion": 2, "other": 0}
"""Kind of arithmetic → series whose colour it takes."""
_TYPES, _SUBJECTS, _OPERATORS = 10, 6, 20


def profile(report: RunReport) -> Section | None:
    """Returns the profiles of baseline and candidates, where runtimes tell."""
    found = profiles(report)
    if not found:
        return None
    shown = dict(list(found.items())[:_SUBJECTS])
    types = [_types(name, each, index) for index, (name, each) in enumerate(shown.items())]
    single = slowest(found, "operators", _OPERATORS)
    return section(
        "profile", "Where the time goes",
        "Operators as the runtime executes them, profiled apart from the timing: profiling itself takes time.",
        legend((series, kind) for kind, series in _KINDS.items()), _kinds(shown), grid(*types),
        folded("The slowest operators, one by one", table(single, "Slowest operators")),
    )  # fmt: skip


def _kinds(found: Mapping[str, Profile]) -> Markup:
    def paint(canvas: Figure) -> None:
        axes = canvas.add_subplot()
        for row, each in enumerate(found.values()):
            start = 0.0
            for kind, share in _shares(each).items():
                axes.barh(row, share * each.ms, 0.6, left=start, color=series_colour(_KINDS[kind]))
                start += share * each.ms
        rows(canvas, axes, list(found))
        axes.set_xlabel("ms of one run")

    said = "; ".join(f"{name}: {show.number(100 * each.int8_share)} % int8" for name, each in found.items())
    drawing = draw("profile-kinds", 54 + 26 * len(found), "Time by kind of arithmetic", said, paint)
    return figure(drawing, f"Time in operators by kind of arithmetic. {said}.")


def _shares(profile: Profile) -> dict[str, float]:
    other = max(0.0, 1 - profile.int8_share - profile.conversion_share)
    return {"int8": profile.int8_share, "conversion": profile.conversion_share, "other": other}


def _types(name: str, profile: Profile, index: int) -> Markup | None:
    most = profile.types[:_TYPES]
    if not most:
        return None

    def paint(canvas: Figure) -> None:
        axes = canvas.add_subplot()
        for row, each in enumerate(most):
            axes.barh(row, each.ms, 0.6, color=series_colour(_KINDS[each.arithmetic]))
        rows(canvas, axes, [each.operator for each in most])
        axes.set_xlabel("ms of one run")

    said = "; ".join(f"{label(each.operator)}: {show.milliseconds(each.ms)}" for each in most)
    drawing = draw(f"profile-types-{index}", 48 + 20 * len(most), f"Operators of {name}", said, paint)
    return figure(drawing, f"{name}: the types of operator that take most.")
