"""The work of `simplify`: our own rewrites, then those of others, kept if they remove nodes and change no value."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from optkit.core.errors import StepFailed
from optkit.graph.load import load_model
from optkit.graph.save import INLINE_LIMIT, to_proto, weight_bytes
from optkit.graph.simplify.pipeline import Removal, RewriteBroke, prepare, simplify_graph
from optkit.graph.simplify.third_party import run_tool
from optkit.graph.walk import operator_count
from optkit.passes.onnx_step import move_artifact, read_model, write_model
from optkit.passes.timing import SECONDS, SLOWER, time_against
from optkit.passes.trial import Trial, reason_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import onnx_ir as ir

    from optkit.core.passes import Work
    from optkit.passes.simplify import Simplify

_SIMPLER = "the simpler graph"


@dataclass(slots=True)
class Simplifier:
    """Simplifies the graph of an ONNX artifact, step by step.

    Attributes:
        folder: The artifact.
        scratch: Where candidates are written.
        limit: Largest constant to store, in bytes.
        trial: Judges candidates.
        nodes: Of the best candidate so far.
        best: Its folder; None while it is the graph as it was.
        removed: What was removed by whom.
        left_out: Rewrite or tool → why nothing of it was kept.
        parity: Note on the best candidate's.
    """

    folder: Path
    scratch: Path
    limit: int
    trial: Trial
    nodes: int
    best: Path | None = None
    removed: list[tuple[str, int, int]] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    parity: dict[str, object] = field(default_factory=dict)

    def own_rewrites(self) -> None:
        """Applies our own rewrites; one that breaks the graph is left out."""
        while True:
            model, _ = read_model(self.folder)
            try:
                removals = simplify_graph(model, self.limit, self.left_out)
                break
            except RewriteBroke as error:
                self.left_out[error.rewrite] = error.why
        if not removals and weight_bytes(model) > INLINE_LIMIT:
            return  # comparing would take long, and there is nothing to compare
        try:
            self._keep(model, "own", removals)
        except Exception as error:  # noqa: BLE001  # whatever is wrong with it, the graph before is right
            self.left_out["own rewrites"] = reason_of(error)

    def tool(self, name: str) -> None:
        """Lets a third party go on from the best candidate; its result is simplified again and judged like our own."""
        try:
            model = self._tool_result(name)
            between = operator_count(model)
            removals = simplify_graph(model, self.limit, self.left_out)
            self._keep(model, name, [Removal(name, self.nodes - between, 0), *removals])
        except Exception as error:  # noqa: BLE001  # likewise
            self.left_out[name] = reason_of(error)

    def _tool_result(self, name: str) -> ir.Model:
        model, _ = read_model(self.best or self.folder)
        size = weight_bytes(model)
        if size > INLINE_LIMIT:
            raise StepFailed(f"{size / 1e9:.1f} GB of weights do not go through it without copies")
        source, out = (self.scratch / f"{name}-{end}.onnx" for end in ("in", "out"))
        source.write_bytes(to_proto(model).SerializeToString())
        run_tool(name, source, out, self.limit)
        result = load_model(out)
        # onnxsim writes a protocol of itself there, which may be larger than the graph.
        result.metadata_props.clear()
        result.metadata_props.update(model.metadata_props)
        if operator_count(result) >= self.nodes:
            raise StepFailed("it removed no node")
        return result

    def _keep(self, model: ir.Model, name: str, removals: Sequence[Removal]) -> None:
        out = self.scratch / name
        self.parity = self.trial.check(model, out)
        self.best, self.nodes = out, operator_count(model)
        self.removed += [(each.rewrite, each.nodes, each.weights) for each in removals]


def simplify(do: Simplify, folder: Path, work: Work) -> None:
    """Does what `Simplify.run` promises; `work.notes` tell what removed how much, and what was left out and why."""
    model, interface = read_model(folder)
    listed = operator_count(model)
    prepare(model)
    before = operator_count(model)
    trial = Trial(folder, work.scratch / "answers", do.tolerance, max(before, listed))
    found = Simplifier(folder, work.scratch, do.fold_limit_bytes, trial, before)
    found.own_rewrites()
    for number, tool in enumerate(do.tools or ()):
        work.progress(0.4 + 0.2 * number, f"trying {tool}")
        found.tool(tool)
    if do.timed and found.best is not None:
        work.progress(0.85, "timing")
        speedup = time_against(folder, {_SIMPLER: found.best}, interface, SECONDS, work.progress)[_SIMPLER]
        if speedup.interval[1] < 1:
            found.best, found.nodes, found.left_out[_SIMPLER] = None, before, SLOWER
    work.notes["simplify"] = {
        "applied": found.best is not None,
        "nodes": [before, found.nodes],
        "removed": [{"rewrite": name, "nodes": nodes, "weights": weights} for name, nodes, weights in found.removed],
        "left_out": found.left_out,
        "parity": found.parity,
    }
    if found.best is None:
        write_model(*read_model(folder), work.out)
    else:
        move_artifact(found.best, work.out)
