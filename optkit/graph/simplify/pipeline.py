"""The rewrites in order, again and again until nothing changes, with a check of the specification after each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from optkit.core.errors import StepFailed
from optkit.graph.shapes import name_nodes, refresh_shapes
from optkit.graph.simplify.casts import shorten_casts
from optkit.graph.simplify.common import merge_common
from optkit.graph.simplify.duplicates import merge_duplicates
from optkit.graph.simplify.fold import fold_constants
from optkit.graph.simplify.no_ops import remove_no_ops
from optkit.graph.simplify.reshapes import join_reshapes
from optkit.graph.simplify.shape_chains import resolve_shapes
from optkit.graph.simplify.spec import spec_violation
from optkit.graph.simplify.transposes import join_transposes
from optkit.graph.walk import operator_count

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    import onnx_ir as ir

_MOST_ROUNDS = 10


@dataclass(frozen=True, slots=True)
class Removal:
    """What a rewrite did, over all rounds.

    Attributes:
        rewrite: Its name.
        nodes: How many it removed.
        weights: How many initializers it removed, less those that it added.
    """

    rewrite: str
    nodes: int
    weights: int


class RewriteBroke(StepFailed):
    """A rewrite raised, or left a graph that is not valid.

    Args:
        rewrite: Its name.
        why: What is wrong.
    """

    def __init__(self, rewrite: str, why: str) -> None:
        super().__init__(f"the rewrite '{rewrite}' broke the graph: {why}")
        self.rewrite = rewrite
        self.why = why


def simplify_graph(model: ir.Model, limit: int, without: Collection[str] = ()) -> list[Removal]:
    """Simplifies the graph in place and returns what each rewrite removed; those that removed nothing are not listed.

    Args:
        model: The graph. Functions are inlined first.
        limit: Largest constant to store, in bytes.
        without: Names of rewrites to leave out.

    Raises:
        RewriteBroke: Names the rewrite that left an invalid graph.
    """
    prepare(model)
    was_valid = not spec_violation(model)
    removals: list[Removal] = []
    for _ in range(_MOST_ROUNDS):
        refresh_shapes(model)
        chosen = [(name, do) for name, do in _rewrites(limit) if name not in without]
        done = [_apply(model, name, do, was_valid=was_valid) for name, do in chosen]
        changes = [each for each in done if each is not None]
        removals += changes
        if not changes:
            break
    name_nodes(model)
    return _summed(removals)


def prepare(model: ir.Model) -> None:
    """Brings the graph into the form that the rewrites know: no functions, constants as weights that are no inputs."""
    import onnx_ir.passes.common as passes

    if model.functions:
        passes.InlinePass()(model)
    model.ir_version = max(model.ir_version or 0, 4)  # before, weights had to be inputs
    passes.RemoveInitializersFromInputsPass()(model)
    passes.OutputFixPass()(model)
    name_nodes(model)
    passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    passes.LiftSubgraphInitializersToMainGraphPass()(model)
    name_nodes(model)


def _rewrites(limit: int) -> tuple[tuple[str, Callable[[ir.Model], object]], ...]:
    return (
        ("dead code", _remove_dead),
        ("known sizes", resolve_shapes),
        ("constants", partial(fold_constants, limit=limit)),
        ("equal weights", merge_duplicates),
        ("nodes that do nothing", remove_no_ops),
        ("casts", shorten_casts),
        ("transposes", join_transposes),
        ("reshapes", join_reshapes),
        ("common subexpressions", merge_common),
        ("normalisation into convolutions", _fold_normalisation),
    )


def _apply(model: ir.Model, name: str, rewrite: Callable[[ir.Model], object], *, was_valid: bool) -> Removal | None:
    """Returns what the rewrite removed, with what it left unused; None if it changed nothing."""
    looked, before = _fingerprint(model), _size(model)
    try:
        rewrite(model)
        if _fingerprint(model) == looked:
            return None
        _remove_dead(model)
    except Exception as error:
        raise RewriteBroke(name, f"{type(error).__name__}: {error}".splitlines()[0]) from error
    if was_valid and (violation := spec_violation(model)):
        raise RewriteBroke(name, violation)
    after = _size(model)
    return Removal(name, before[0] - after[0], before[1] - after[1])


def _size(model: ir.Model) -> tuple[int, int]:
    return operator_count(model), sum(len(graph.initializers) for graph in model.graphs())


def _fingerprint(model: ir.Model) -> int:
    """Returns a number that changes with the nodes, what they read, say and make, and with the weights."""
    weights = tuple(tuple(graph.initializers) for graph in model.graphs())
    return hash((weights, tuple(map(_looks, model.graph.all_nodes()))))


def _looks(node: ir.Node) -> tuple[object, ...]:
    return node, node.inputs, tuple(map(id, node.attributes.values())), tuple(value.name for value in node.outputs)


def _summed(removals: list[Removal]) -> list[Removal]:
    names = dict.fromkeys(each.rewrite for each in removals if each.nodes or each.weights)
    return [
        Removal(
            name,
            sum(each.nodes for each in removals if each.rewrite == name),
            sum(each.weights for each in removals if each.rewrite == name),
        )
        for name in names
    ]


def _remove_dead(model: ir.Model) -> None:
    import onnx_ir.passes.common as passes

    passes.RemoveUnusedNodesPass()(model)
    passes.RemoveUnusedFunctionsPass()(model)  # type: ignore[no-untyped-call]  # theirs
    passes.RemoveUnusedOpsetsPass()(model)


def _fold_normalisation(model: ir.Model) -> None:
    from optkit.graph.canonical import fold_into_convolutions

    fold_into_convolutions(model)
