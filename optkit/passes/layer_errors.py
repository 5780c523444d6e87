"""How far each tensor of a graph is from the tensor of that name in another one, in the order in which they are made.

Memory is bounded: tensors are fetched in groups, by running both graphs again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optkit.core.errors import StepFailed
from optkit.graph.clean import SCOPE, SOURCE
from optkit.graph.quantized_tensors import quantized_tensors
from optkit.measure.parity import compare_outputs
from optkit.quant.observe import Fetcher
from optkit.quant.tensor_errors import channel_axes, compared

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import onnx_ir as ir
    from numpy.typing import NDArray

    Feed = Mapping[str, NDArray[Any]]

SQNR_DB = 20.0
"""Below it, noise is above a tenth of the signal: more than eight bits cost, and more than any rewrite may."""
_KINDS = frozenset({"tensor(float)", "tensor(float16)", "tensor(double)"})


@dataclass(frozen=True, slots=True)
class LayerError:
    """One tensor in both graphs.

    Attributes:
        tensor: Its name.
        node: Name of the node that makes it in the second graph.
        operator: That node's operator.
        source: Line of the model's code, if the graph knows it.
        scope: Module of the model, if the graph knows it.
        max_abs: Largest absolute difference.
        relative_to_scale: It over the largest magnitude in the first graph.
        cosine: Cosine between both.
        sqnr_db: Signal-to-noise ratio in dB; infinite if equal.
        rescaled_db: What it is without factors per channel, as equalisation leaves them; None if there are none.
    """

    tensor: str
    node: str
    operator: str
    source: str
    scope: str
    max_abs: float
    relative_to_scale: float
    cosine: float
    sqnr_db: float
    rescaled_db: float | None


@dataclass(frozen=True, slots=True)
class LayerComparison:
    """All tensors that two graphs share.

    Attributes:
        errors: In the order in which the second graph makes them.
        first_bad: Where error enters: the first whose SQNR is below `threshold_db`, or None. Channels that are rescaled
            do not count if something that is computed from them is right: the factors were made up for.
        threshold_db: What is bad.
        unmatched: Float tensors of the second graph that the first does not have, or has in another shape.
    """

    errors: tuple[LayerError, ...]
    first_bad: LayerError | None
    threshold_db: float
    unmatched: int


@dataclass(frozen=True, slots=True)
class _Made:
    """A tensor, the name of its float values (behind a DequantizeLinear, if it is quantized), and its node."""

    name: str
    values: str
    node: ir.Node


def compare_layers(
    first: ir.Model, second: ir.Model, feed: Feed, scratch: Path, threshold_db: float = SQNR_DB
) -> LayerComparison:
    """Compares tensors by name.

    Args:
        first: The graph that is right.
        second: The graph that may not be, sorted.
        feed: Inputs of both.
        scratch: An empty folder for copies of the graphs.
        threshold_db: Below which SQNR a tensor is bad.

    Raises:
        StepFailed: A graph does not run on the feed.
    """
    theirs = {made.name: made for made in _made(first)}
    ours = list(_made(second))
    pairs = [(made, theirs[made.name]) for made in ours if made.name in theirs]
    # The second first: it is the smaller one, and opening takes several times what an open session does.
    actual = _opened(second, [each.values for each, _ in pairs], scratch / "second")
    expected = _opened(first, [each.values for _, each in pairs], scratch / "first")
    shared = {
        mine.values: (mine, other)
        for mine, other in pairs
        if mine.values in actual.names and other.values in expected.names
    }
    errors: list[LayerError] = []
    for group in actual.groups(feed, list(shared)):
        values = expected.read(feed, list({shared[name][1].values for name in group}))
        errors += _errors(group, values, shared)
    good = {error.tensor for error in errors if error.sqnr_db >= threshold_db}
    nodes = {made.name: made.node for made in ours}
    bad = next((error for error in errors if _is_bad(error, threshold_db, nodes[error.tensor], good)), None)
    known = {error.tensor for error in errors} | {other.name for other in theirs.values() if not _may_be_float(other)}
    unmatched = sum(made.name not in known and _may_be_float(made) for made in ours)
    return LayerComparison(tuple(errors), bad, threshold_db, unmatched)


def _errors(group: Feed, values: Feed, shared: Mapping[str, tuple[_Made, _Made]]) -> Iterator[LayerError]:
    for name, array in group.items():
        mine, other = shared[name]
        if array.shape == values[other.values].shape and array.size:
            yield _error(mine, other, values[other.values], array)


def _error(mine: _Made, other: _Made, expected: NDArray[Any], actual: NDArray[Any]) -> LayerError:
    import numpy as np

    (found,) = compare_outputs({mine.name: expected}, {mine.name: actual})
    rescaled_db = None
    if math.isfinite(found.sqnr_db) and np.isfinite(expected).all() and np.isfinite(actual).all():
        ratio, rescaled = compared(expected, actual, channel_axes(actual))
        if rescaled:
            rescaled_db = math.inf if ratio is None else ratio
    props = {**other.node.metadata_props, **mine.node.metadata_props}
    return LayerError(
        tensor=mine.name, node=mine.node.name or mine.name, operator=mine.node.op_type,
        source=props.get(SOURCE, ""), scope=props.get(SCOPE, ""), max_abs=found.max_abs,
        relative_to_scale=found.relative_to_scale, cosine=found.cosine, sqnr_db=found.sqnr_db, rescaled_db=rescaled_db,
    )  # fmt: skip


def _is_bad(error: LayerError, threshold_db: float, node: ir.Node, good: set[str]) -> bool:
    """A tensor that is 0 throughout in the first graph has no signal to compare noise with, unless it is not finite."""
    if error.sqnr_db >= threshold_db or (error.sqnr_db == -math.inf and math.isfinite(error.max_abs)):
        return False
    rescaled = error.rescaled_db is not None and error.rescaled_db >= threshold_db
    return not (rescaled and any(name in good for name in _descendants(node)))


def _descendants(node: ir.Node) -> Iterator[str]:
    """Yields the tensors that are computed from the node's results."""
    pending, seen = [node], {node}
    while pending:
        readers = {reader for value in pending.pop().outputs for reader, _ in value.uses()} - seen
        yield from (value.name or "" for reader in readers for value in reader.outputs)
        pending += readers
        seen |= readers


def _opened(model: ir.Model, names: list[str], folder: Path) -> Fetcher:
    folder.mkdir(parents=True)
    return Fetcher.opened(model, names, folder, _KINDS)


def _made(model: ir.Model) -> Iterator[_Made]:
    """Yields what nodes make, in order; of a quantized tensor, the values that are read of it."""
    quantized = [tensor for tensor in quantized_tensors(model) if tensor.float_name]
    dequantized = {tensor.name: tensor.float_name for tensor in quantized if tensor.role == "activation"}
    skipped = {tensor.float_name for tensor in quantized}
    for node in model.graph.all_nodes():
        if node.op_type in {"Constant", "QuantizeLinear", "If", "Loop"}:
            continue
        for value in node.outputs:
            name = value.name or ""
            if name and name not in skipped:
                yield _Made(name, dequantized.get(name, name), node)


def _may_be_float(made: _Made) -> bool:
    dtype = next((value.dtype for value in made.node.outputs if value.name == made.name), None)
    return dtype is None or dtype.is_floating_point()


def check_comparable(found: LayerComparison, first: str, second: str) -> None:
    """Checks that something was compared.

    Raises:
        StepFailed: The graphs share no tensor.
    """
    if not found.errors:
        raise StepFailed(
            f"no tensor inside {second} has the name and shape of one inside {first}",
            hint="compare graphs of one export: another exporter names tensors otherwise",
        )
