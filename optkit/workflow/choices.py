"""What steps chose by looking at outputs or at the clock, and what they left out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_SHOWN = 5


def choices(step: str, notes: Mapping[str, Any]) -> Iterator[str]:
    """Yields a line for each choice that a step noted.

    Args:
        step: Its name.
        notes: What its pass noted.
    """
    if "auto" in notes:
        yield f"{step}: {_method(notes['auto'])}"
    if "budget" in notes:
        yield f"{step}: {_budget(notes['budget'])}"
    if "tune" in notes:
        yield f"{step}: {_tuned(notes['tune'])}"
    for stage, why in notes.get("fuse", {}).get("left_out", {}).items():
        yield f"{step}: {stage} left out: {why}"
    if why := notes.get("engine", {}).get("kernels", {}).get("skipped"):
        yield f"{step}: which kernels the builder chose was not looked at: {why}"


def _tuned(tune: Mapping[str, Any]) -> str:
    tried = ", ".join(f"{name} {speedup[0]:.2f}x" for name, speedup in tune["tried"].items()) or "nothing"
    if tune["kept"] is None:
        unconfirmed = "".join(f"; {name} was not confirmed" for name in tune["confirmed"])
        return f"the default session options stay; over them, tried {tried}{unconfirmed}"
    ratio, low, high = tune["confirmed"][tune["kept"]]
    return f"keeps {tune['kept']}: {ratio:.2f}x [{low:.2f}x, {high:.2f}x] over the default session; tried {tried}"


def _method(auto: Mapping[str, Any]) -> str:
    tried = [_candidate(each) for each in auto["candidates"]]
    return f"chose {auto['chosen']}; over the float graph: {', '.join(tried)}"


def _candidate(each: Mapping[str, Any]) -> str:
    return (
        f"{each['name']} {each['speedup'][0]:.2f}x" if each["speedup"] else f"{each['name']} out ({each['left_out']})"
    )


def _budget(budget: Mapping[str, Any]) -> str:
    layers = budget["layers"]
    floats = [each["node"] for each in layers if each["float"]]
    chosen = next(each for each in budget["evaluations"] if each["float"] == sorted(floats))
    drops = ", ".join(f"{name} drops {drop:.4g}" for name, drop in chosen["drops"].items())
    shown = f" ({', '.join(floats[:_SHOWN])}{' …' if len(floats) > _SHOWN else ''})" if floats else ""
    count = len(budget["evaluations"])
    error = ", with less than a standard error to spare" if budget["barely"] else ""
    return (
        f"the budget keeps {len(floats)} of {len(layers)} layers in float{shown}; {drops} on {budget['samples']} "
        f"samples{error}; {count} int8 graph{' was' if count == 1 else 's were'} evaluated"
    )
