"""The accuracy budget of the `quantize` pass: which layers stay float so that a metric loses no more than allowed."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from optkit.core.errors import BudgetMissed
from optkit.core.passes import DEFAULT_TARGET
from optkit.passes.judging import Judge
from optkit.passes.layers import layer_costs, layer_noises
from optkit.passes.onnx_step import write_model
from optkit.passes.output_error import OutputError
from optkit.passes.search_log import SearchLog
from optkit.passes.writers import Data
from optkit.quant.search import Layer, find_floats

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from optkit.core.interface import Interface
    from optkit.core.passes import Work
    from optkit.passes.layers import LayerCost
    from optkit.passes.quantize import Quantize
    from optkit.passes.writers import Writer
    from optkit.quant.search import Found

_SHOWN = 5


def keep_within_budget(
    do: Quantize, writer: Writer, inputs: Mapping[str, Path], interface: Interface, work: Work
) -> frozenset[str]:
    """Returns the layers that stay float in the fastest graph found whose metrics, on the search data, hold the budget.

    Every evaluation is kept in `work.scratch`: after a kill, the search goes on where it was.

    Args:
        do: The options.
        writer: Of the int8 graph.
        inputs: Role → artifact.
        interface: Of the model.
        work: Of the step.

    Raises:
        BudgetMissed: No graph that was tried holds it; says which came nearest, and by how much it misses.
        UsageError: A metric does not fit the model or the data.
    """
    log = SearchLog.open(work.scratch)
    judge = Judge(inputs, interface, do.budget, work.scratch / "predictions")
    feeds = Data(inputs, interface, searches=True).feeds
    errors = OutputError(writer.model, feeds(), work.scratch / "noise")
    work.progress(0.82, "measuring the layers' noise")
    noises = layer_noises(writer, errors, log.noises, log.add_noise)
    costs = layer_costs(writer, next(feeds()), do.target or DEFAULT_TARGET, work.scratch / "shapes")

    def evaluate(floats: frozenset[str]) -> float:
        kept = log.evaluation(floats)
        if kept is None:
            folder = work.scratch / "tried"
            shutil.rmtree(folder, ignore_errors=True)
            write_model(writer.tuned(floats, errors).write(floats), interface, folder)
            kept = evaluate_graph(floats, judge, folder)
            log.add_evaluation(kept)
            work.progress(0.85, f"{len(log.evaluations)} int8 graphs evaluated")
        return float(kept["excess"]) if kept["excess"] is not None else math.nan

    layers = [Layer(each.name, noises[each.name], each.saving) for each in costs]
    found = find_floats(layers, evaluate)
    if found.floats is None:
        found = replace(found, floats=_barely(do, layers, found, log))
    work.notes["budget"] = _note(do, judge, costs, noises, found, log)
    if found.floats is None:
        raise _missed(do, judge, costs, found, log)
    return found.floats


def _barely(do: Quantize, layers: Sequence[Layer], found: Found, log: SearchLog) -> frozenset[str] | None:
    """Returns the cheapest setting whose drops are within the limits, if only without their standard errors."""
    costs = {layer.name: layer.cost for layer in layers}
    within = [floats for floats in found.excess if _is_within(do, log.evaluation(floats) or {})]
    return min(within, key=lambda floats: sum(costs[name] for name in floats), default=None)


def _is_within(do: Quantize, evaluation: Mapping[str, Any]) -> bool:
    drops = evaluation["drops"]
    return all(drops[name] is not None and drops[name] <= limit for name, limit in do.budgets().items())


def evaluate_graph(floats: frozenset[str], judge: Judge, folder: Path) -> dict[str, Any]:
    """Returns what is kept of one evaluation: the float layers, the drops, and by how much the budget is missed."""
    scores = judge.scores(folder)
    excess = max(score.excess for score in scores.values())
    finite = all(math.isfinite(score.excess) for score in scores.values())
    return {
        "float": sorted(floats),
        "drops": {name: score.drop if math.isfinite(score.drop) else None for name, score in scores.items()},
        "excess": excess if finite else None,
    }


def _note(  # noqa: PLR0913, PLR0917  # all that was found
    do: Quantize, judge: Judge, costs: Sequence[LayerCost], noises: Mapping[str, float], found: Found, log: SearchLog
) -> dict[str, Any]:
    floats = found.floats or frozenset()
    total = math.fsum(each.saving for each in costs)
    return {
        "limits": {name: limit.max_drop for name, limit in judge.limits.items()},
        "with_error": {name: limit.with_error for name, limit in judge.limits.items()},
        "samples": len(judge.data),
        "held_out": judge.is_held_out,
        "barely": not found.excess.get(floats, 0.0) <= 0,
        "evaluations": [log.evaluation(tried) for tried in found.excess],
        "reused": min(log.reused, len(found.excess)),
        "layers": [
            {
                "node": each.name, "operator": each.operator, "followers": list(each.followers), "macs": each.macs,
                "share": each.saving / total, "sqnr_db": _decibels(noises[each.name]),
                "float": each.name in floats,
            }
            for each in costs
        ],
        "target": do.target,
    }  # fmt: skip


def _decibels(noise: float) -> float | None:
    """JSON has no infinity: an exact layer, and a broken one, read None."""
    return -10 * math.log10(noise) if 0 < noise < math.inf else None


def _missed(do: Quantize, judge: Judge, costs: Sequence[LayerCost], found: Found, log: SearchLog) -> BudgetMissed:
    floats = found.nearest()
    nearest = log.evaluation(floats) or {"drops": {}}
    drops = ", ".join(f"{name} drops {_shown(drop)}" for name, drop in nearest["drops"].items())
    limits = ", ".join(f"{name} {each.max_drop:g}" for name, each in do.budget.items())
    count = len(found.excess)
    return BudgetMissed(
        f"no int8 graph holds the budget ({limits}) on the {len(judge.data)} samples searched on: the nearest keeps "
        f"{_layers(floats, len(costs))} in float, and {drops}; {count} graph{' was' if count == 1 else 's were'} "
        "evaluated",
        hint="allow a larger max_drop, try other ranges or per_channel: true, or leave the quantize step out",
    )


def _layers(floats: frozenset[str], total: int) -> str:
    names = sorted(floats)
    shown = ", ".join(names[:_SHOWN]) + (" …" if len(names) > _SHOWN else "")
    return f"{len(names)} of {total} layers" + (f" ({shown})" if names else "")


def _shown(drop: float | None) -> str:
    return "to no number at all" if drop is None else f"{drop:.4g}"
