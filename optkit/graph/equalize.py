"""Cross-layer equalisation: gives the channels between two layers weights of like range, without changing the function.

Nagel et al., "Data-free quantization through weight equalization and bias correction", 2019, arXiv 1906.04721.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optkit.graph.channels import WEIGHTED, Constant, consumers, producers, rescale

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import onnx_ir as ir
    from numpy.typing import NDArray

_ROUNDS = 30
_CONVERGED = 1e-2
_LIMIT = 2.0**24
"""Largest change of a channel's scale: beyond it float32 products underflow."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two layers that share channels.

    Attributes:
        tensor: The first layer's result.
        channels: How many.
        source: The first layer's weight.
        divided: All constants that are divided: that weight, and biases.
        multiplied: The weights of the layers that read the tensor.
    """

    tensor: ir.Value
    channels: int
    source: Constant
    divided: tuple[Constant, ...]
    multiplied: tuple[Constant, ...]


def find_pairs(model: ir.Model, nodes: Collection[str]) -> list[Pair]:
    """Returns the pairs of layers, in graph order, of which every second layer is among `nodes` (names)."""
    found = (_pair(node) for node in model.graph if node.op_type in WEIGHTED)
    return [pair for pair in found if pair is not None and all(each.node.name in nodes for each in pair.multiplied)]


def equalize(model: ir.Model, nodes: Collection[str], *, min_spread: float = 1.0) -> dict[str, float]:
    """Rescales channels in place; returns tensor → the largest of its scales over the smallest.

    Every pair's scales s = sqrt(r1 / r2) make the ranges of the first layer's output channels (r1) and the second's
    input channels (r2) equal; pairs that share a layer are repeated until nothing changes.

    Args:
        model: The graph, with BatchNorm folded and shapes inferred.
        nodes: Names of the layers that will be quantized; the others are left alone.
        min_spread: Pairs of a smaller spread are left alone: they gain nothing.
    """
    pairs = find_pairs(model, nodes)
    kept = pairs
    scales = _solve(kept)
    # A pair that is left alone changes what its neighbours need.
    while kept and (fewer := [p for p, s in zip(kept, scales, strict=True) if _spread(s) >= min_spread]) != kept:
        kept = fewer
        scales = _solve(kept)
    for pair, scale in zip(kept, scales, strict=True):
        for constant in pair.divided:
            rescale(model.graph, constant, 1 / scale)
        for constant in pair.multiplied:
            rescale(model.graph, constant, scale)
    return {p.tensor.name or "": _spread(s) for p, s in zip(kept, scales, strict=True) if _spread(s) > 1}


def _pair(node: ir.Node) -> Pair | None:
    weight = node.inputs[1] if len(node.inputs) > 1 else None
    if weight is None or weight.const_value is None or weight.shape is None:
        return None
    axis = -1 if node.op_type in {"MatMul", "Gemm"} else 1 - len(weight.shape)
    tensor = node.outputs[0]
    divided = producers(tensor, axis)
    if divided is None:
        return None
    multiplied, tensor, divided = _through_bias(tensor, axis, divided)
    if not multiplied:
        return None
    source = divided[0]
    return Pair(tensor, source.array().shape[source.axis], source, divided, multiplied)


def _through_bias(
    tensor: ir.Value, axis: int, divided: tuple[Constant, ...]
) -> tuple[tuple[Constant, ...], ir.Value, tuple[Constant, ...]]:
    """Looks past an Add of a constant, which is how an exporter writes a bias."""
    multiplied = consumers(tensor, axis)
    uses = tuple(tensor.uses())
    if multiplied is None and len(uses) == 1 and uses[0].node.op_type == "Add":
        behind = uses[0].node.outputs[0]
        whole = producers(behind, axis)
        if whole is not None and whole[0] == divided[0]:
            return consumers(behind, axis) or (), behind, whole
    return multiplied or (), tensor, divided


def _solve(pairs: Sequence[Pair]) -> list[NDArray[Any]]:
    """Returns the converged scales of each pair; channels that are zero on either side keep theirs."""
    import numpy as np

    scales = [np.ones(pair.channels) for pair in pairs]
    blocks = _Blocks(pairs)
    for _ in range(_ROUNDS):
        change = 0.0
        for index, pair in enumerate(pairs):
            first = blocks.ranges(pair.source)
            second = np.max([blocks.ranges(each) for each in pair.multiplied], axis=0)
            alive = (first > 0) & (second > 0)
            step = np.sqrt(np.divide(first, second, out=np.ones_like(first), where=alive))
            step = np.clip(scales[index] * step, 1 / _LIMIT, _LIMIT) / scales[index]
            scales[index] = scales[index] * step
            blocks.scale(pair.source, 1 / step)
            for each in pair.multiplied:
                blocks.scale(each, step)
            change = max(change, float(np.abs(np.log(step)).max()))
        if change < _CONVERGED:
            break
    return scales


class _Blocks:
    """Each weight as the largest magnitude per input and output channel: all that ranges depend on."""

    def __init__(self, pairs: Sequence[Pair]) -> None:
        self._blocks: dict[str, NDArray[Any]] = {}
        for pair in pairs:
            for constant in (pair.source, *pair.multiplied):
                self._blocks.setdefault(constant.node.name or "", _magnitudes(constant.array()))

    def ranges(self, constant: Constant) -> NDArray[Any]:
        """Returns the largest magnitude per channel."""
        import numpy as np

        moved = np.moveaxis(self._blocks[constant.node.name or ""], constant.axis, 0)
        return np.asarray(moved.reshape(len(moved) // constant.repeat, -1).max(axis=1))

    def scale(self, constant: Constant, step: NDArray[Any]) -> None:
        """Multiplies the channels."""
        import numpy as np

        factors = np.repeat(step.astype(np.float32), constant.repeat).reshape(-1, *[1] * (-constant.axis - 1))
        self._blocks[constant.node.name or ""] *= factors


def _magnitudes(weight: NDArray[Any]) -> NDArray[Any]:
    """Returns float32 of the same rank; the window of a convolution is reduced to one element."""
    import numpy as np

    return np.asarray(np.abs(weight).max(axis=tuple(range(2, weight.ndim)), keepdims=True, initial=0))


def _spread(scale: NDArray[Any]) -> float:
    return float(scale.max() / scale.min())
