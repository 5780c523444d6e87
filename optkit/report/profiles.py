"""Tables of where the time of models goes, side by side."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Literal

from optkit.report import format as show
from optkit.report.tables import Row, Sheet

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from optkit.core.results import OperatorTime, Profile, RunReport

Cells = tuple[str, str]
"""An operator and its time."""
_WORTH_NAMING = 0.005
_NOTHING: Cells = ("", "")


def profiles(report: RunReport) -> dict[str, Profile]:
    """Returns baseline and candidates, as a table's header calls them, with their profiles; those that have one."""
    subjects = [(report.baseline.name, report.baseline.timing)]
    subjects += [(candidate.name, candidate.timing) for candidate in report.candidates]
    return {
        show.one_line(f"{name} ({timing.runtime})"): timing.profile
        for name, timing in subjects
        if timing is not None and timing.profile is not None
    }


def slowest(of: Mapping[str, Profile], what: Literal["operators", "types"], most: int) -> Sheet:
    """Returns the slowest operators, or types of them, of each model; the first row is all of them together.

    Args:
        of: Model → profile.
        what: Which list of the profile.
        most: How many rows at most.
    """
    header = ("", *(title for name in of for title in (name, "time")))
    lists = [[_operator(each) for each in getattr(profile, what)[:most]] for profile in of.values()]
    rows = [Row(("all", *_flat([_all(profile) for profile in of.values()])))]
    rows += [Row((str(rank), *_flat(cells))) for rank, cells in enumerate(zip_longest(*lists, fillvalue=_NOTHING), 1)]
    return Sheet(header, tuple(rows) if of else ())


def _all(profile: Profile) -> Cells:
    parts = [f"{profile.count} operators", f"{_percent(profile.int8_share)} int8"]
    if profile.conversion_share >= _WORTH_NAMING:
        parts.append(f"{_percent(profile.conversion_share)} converting")
    return ", ".join(parts), show.milliseconds(profile.ms)


def _operator(each: OperatorTime) -> Cells:
    times = f"{each.calls} x " if each.calls > 1 else ""
    name = "" if each.name == each.operator else each.name  # a runtime names so what it adds itself
    return show.one_line(f"{times}{each.operator} {name}"), f"{show.milliseconds(each.ms)}, {_percent(each.share)}"


def _percent(share: float) -> str:
    return f"{share:.0%}".replace("%", " %")


def _flat(cells: Sequence[Cells]) -> list[str]:
    return [cell for pair in cells for cell in pair]
