"""How the `fuse` pass works: stage after stage, each kept only if it changes no value and does not slow the graph."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from optkit.core import interface as interfaces
from optkit.graph.fuse.pipeline import Fusions, fuse_blocks, fuse_for_ort, fuse_general, fuse_products
from optkit.graph.walk import operator_count
from optkit.passes.onnx_step import move_artifact, read_model, write_model
from optkit.passes.timing import SECONDS, SLOWER, time_against
from optkit.passes.trial import Trial, reason_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import onnx_ir as ir

    from optkit.core.passes import Work
    from optkit.measure.latency_report import Speedup
    from optkit.passes.fuse import Fuse

    Stage = Callable[[ir.Model], tuple[ir.Model, Fusions]]

_NEWEST_OPSET, _NEWEST_OPSET_OF_ORT = 20, 23
"""Operator set that the target's readers take."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A stage that keeps every value.

    Attributes:
        name: Of the stage.
        folder: The graph after it, as an ONNX artifact.
        nodes: How many it has.
        fusions: What the stage fused.
        parity: Note on the largest change.
    """

    name: str
    folder: Path
    nodes: int
    fusions: Fusions
    parity: dict[str, object]


@dataclass(slots=True)
class Fuser:
    """Fuses the graph of an ONNX artifact, stage by stage.

    Attributes:
        folder: The artifact.
        work: Of the step.
        trial: Judges each stage.
        kept: The stages so far.
        left_out: Stage → why it was not kept.
    """

    folder: Path
    work: Work
    trial: Trial
    kept: list[Kept] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)

    def stage(self, name: str, fuse: Stage) -> None:
        """Lets `fuse` rewrite the graph so far; a third party's rewrite may raise anything."""
        model, _ = read_model(self.kept[-1].folder if self.kept else self.folder)
        before = operator_count(model)
        out = self.work.scratch / name
        try:
            fused, fusions = fuse(model)
            if not fusions.counts and not fusions.near_misses and operator_count(fused) == before:
                return
            self.kept.append(Kept(name, out, operator_count(fused), fusions, self.trial.check(fused, out)))
        except Exception as error:  # noqa: BLE001  # whatever is wrong with it, the graph before is right
            self.left_out[name] = reason_of(error)

    def drop_slow(self) -> dict[str, Speedup]:
        """Takes back the last stages that slow the graph beyond doubt; returns stage → speedup over none."""
        changed = {each.name: each.folder for each in self.kept if each.fusions.counts}
        if not changed:
            return {}
        speedups = time_against(
            self.folder, changed, interfaces.read(self.folder), SECONDS,
            lambda fraction, text: self.work.progress(0.6 + 0.35 * fraction, text),
        )  # fmt: skip
        while self.kept and _is_slower(self.kept[-1].name, speedups):
            self.left_out[self.kept.pop().name] = SLOWER
        return speedups


def fuse(do: Fuse, folder: Path, work: Work) -> None:
    """Does what `Fuse.run` promises, with the options of `do`."""
    interface, nodes = interfaces.read(folder), operator_count(read_model(folder)[0])
    found = Fuser(folder, work, Trial(folder, work.scratch / "answers", do.tolerance, nodes))
    for number, (name, stage) in enumerate(_stages(do).items()):
        work.progress(0.1 + 0.15 * number, f"fusing {name}")
        found.stage(name, stage)
    speedups = found.drop_slow() if do.timed else {}
    work.notes["fuse"] = _note(found, nodes, speedups)
    if found.kept:
        move_artifact(found.kept[-1].folder, work.out)
    else:
        write_model(read_model(folder)[0], interface, work.out)


def _stages(do: Fuse) -> dict[str, Stage]:
    for_ort = (do.target or "").startswith("onnxruntime")
    newest = _NEWEST_OPSET_OF_ORT if for_ort else _NEWEST_OPSET
    stages: dict[str, Stage] = {
        "general rules": fuse_general,
        "blocks": lambda model: (model, fuse_blocks(model, newest)),
    }
    if for_ort and do.attention:
        stages["attention"] = lambda model: (model, fuse_for_ort(model))
    if do.merge:
        stages["products"] = lambda model: (model, fuse_products(model))
    return stages


def _is_slower(name: str, speedups: Mapping[str, Speedup]) -> bool:
    """Whether a stage is slower than the graph before all of them, or than a stage before it, beyond doubt."""
    if name not in speedups:
        return False
    names = list(speedups)
    earlier = [speedups[each].interval[0] for each in names[: names.index(name)]]
    return speedups[name].interval[1] < max([1.0, *earlier])


def _note(found: Fuser, nodes: int, speedups: Mapping[str, Speedup]) -> dict[str, Any]:
    counts: Counter[str] = Counter()
    for each in found.kept:
        counts.update(each.fusions.counts)
    last = found.kept[-1] if found.kept else None
    return {
        "applied": last is not None,
        "nodes": [nodes, last.nodes if last else nodes],
        "matched": dict(counts),
        "near_misses": [asdict(miss) for each in found.kept for miss in each.fusions.near_misses],
        "left_out": found.left_out,
        "speedup": {name: [each.ratio, *each.interval] for name, each in speedups.items()},
        "parity": last.parity if last else {},
    }
