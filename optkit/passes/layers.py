"""What each layer of a graph would cost in float, and how much noise it makes in int8."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optkit.quant.cost import COST_MODELS, saving
from optkit.quant.observe import watch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import onnx_ir as ir
    from numpy.typing import NDArray

    from optkit.passes.output_error import OutputError
    from optkit.passes.writers import Writer

    Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class LayerCost:
    """A layer with weights, and what can be in int8 only if it is.

    Attributes:
        name: Of the node with the weights.
        operator: Its operator.
        followers: Nodes that stay float if it does.
        macs: Multiply-adds on the batch that was looked at.
        saving: What int8 saves, in multiply-adds of a float product.
    """

    name: str
    operator: str
    followers: tuple[str, ...]
    macs: int
    saving: float


class _Shape:
    """Watches a tensor's shape."""

    def __init__(self) -> None:
        self.shape: tuple[int, ...] = ()

    def add(self, values: NDArray[Any], /) -> None:
        self.shape = values.shape


def layer_costs(writer: Writer, feed: Mapping[str, NDArray[Any]], target: str, folder: Path) -> list[LayerCost]:
    """Returns the layers of a graph with what they cost on a target, in graph order.

    Args:
        writer: Of the int8 graph.
        feed: One batch.
        target: Whose cost model counts.
        folder: For the graph that is run to learn shapes.
    """
    model, layers = COST_MODELS[target], writer.layers()
    everything = writer.nodes(frozenset())
    without = {layer: set(writer.nodes(frozenset({layer.name or ""}))) for layer in layers}
    lost = {layer: [node for node in everything if node not in kept and node is not layer]
            for layer, kept in without.items()}  # fmt: skip
    names = {value.name or "" for node in (*everything, *layers) for value in _activations(node)}
    watchers = {name: _Shape() for name in names}
    folder.mkdir(parents=True, exist_ok=True)
    watch(writer.model, {name: [each] for name, each in watchers.items()}, [feed], folder)
    shapes = {name: each.shape for name, each in watchers.items()}

    def saved(node: ir.Node) -> float:
        return saving(model, node.op_type, _macs(node, shapes), _elements(node, shapes))

    return [
        LayerCost(
            layer.name or "", layer.op_type, tuple(node.name or "" for node in lost[layer]), _macs(layer, shapes),
            saved(layer) + sum(map(saved, lost[layer])),
        )
        for layer in layers
    ]  # fmt: skip


def layer_noises(
    writer: Writer, errors: OutputError, known: Mapping[str, float], keep: Callable[[str, float], None]
) -> dict[str, float]:
    """Returns layer → the noise at the outputs if it alone runs in int8: their error's power over theirs.

    Args:
        writer: Of the int8 graph.
        errors: Of the float graph.
        known: Noises that were found before.
        keep: Called with each that is found.
    """
    noises = dict(known)
    names = [layer.name or "" for layer in writer.layers()]
    for name in names:
        if name not in noises:
            noises[name] = writer.noise(frozenset(names) - {name}, errors)
            keep(name, noises[name])
    return noises


def _activations(node: ir.Node) -> list[ir.Value]:
    values = [value for value in (*node.inputs, *node.outputs) if value is not None]
    return [value for value in values if value.const_value is None]


def _elements(node: ir.Node, shapes: Shapes) -> int:
    return sum(_size(shapes.get(value.name or "", ())) for value in _activations(node))


def _macs(node: ir.Node, shapes: Shapes) -> int:
    """Returns the multiply-adds of a layer: each weight is used once per position of the output."""
    weight = node.inputs[1] if len(node.inputs) > 1 else None
    if weight is None or weight.const_value is None:
        return 0
    sizes = [int(size) for size in weight.const_value.shape.numpy()]
    result = shapes.get(node.outputs[0].name or "", ())
    source = shapes.get((node.inputs[0].name if node.inputs[0] is not None else "") or "", ())
    if node.op_type == "Conv" and result:
        return _size(result) * _size(tuple(sizes[1:]))
    if node.op_type == "ConvTranspose" and source:
        return _size(source) * _size(tuple(sizes[1:]))
    if node.op_type in {"MatMul", "Gemm"} and source:
        transposed = node.op_type == "Gemm" and node.attributes.get_int("transB", 0) == 1
        return _size(source) * sizes[0 if transposed else -1]
    if node.op_type == "LSTM" and source:
        return _size(source[:2]) * 2 * _size(tuple(sizes))
    return 0


def _size(shape: tuple[int, ...]) -> int:
    size = 1
    for axis in shape:
        size *= axis
    return size if shape else 0
