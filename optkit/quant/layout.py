"""Where Q/DQ pairs go around int8 nodes, and which tensors share a scale."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from optkit.quant.placement import activation_inputs, clamped, is_constant, is_standard, shares_scale

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import onnx_ir as ir

    from optkit.quant.profiles import Profile

    Range = tuple[float, float]
    Use = tuple[ir.Node, int]


@dataclass(slots=True)
class Layout:
    """Tensors that carry Q/DQ.

    Attributes:
        written: Every reader gets the int8 version: the kernel that computes it writes nothing else.
        read: Only these inputs of int8 nodes get the int8 version; other readers keep the float one.
        owner: Tensor → the tensor whose scale it takes; itself if absent.
        around: Node → the tensors that must have a scale for it to run in int8.
    """

    written: dict[ir.Value, None] = field(default_factory=dict)
    read: dict[ir.Value, list[Use]] = field(default_factory=dict)
    owner: dict[ir.Value, ir.Value] = field(default_factory=dict)
    around: dict[ir.Node, list[ir.Value]] = field(default_factory=dict)

    def tensors(self) -> list[ir.Value]:
        """Returns every tensor that carries Q/DQ."""
        return list(dict.fromkeys((*self.written, *self.read)))

    def owner_of(self, value: ir.Value) -> ir.Value:
        """Returns the tensor whose scale `value` takes."""
        while value in self.owner:
            value = self.owner[value]
        return value

    def share(self, value: ir.Value, owner: ir.Value) -> None:
        """Makes one scale serve both."""
        first, second = self.owner_of(value), self.owner_of(owner)
        if first is not second:
            self.owner[first] = second


def lay_out(nodes: Iterable[ir.Node], profile: Profile) -> Layout:
    """Returns where Q/DQ pairs go so that `nodes` run in int8."""
    layout = Layout()
    for node in nodes:
        sources = _sources(node, profile)
        results = [] if node.op_type in profile.float_outputs else _results(node)
        layout.around[node] = [*(value for _, value in sources), *results]
        layout.written.update(dict.fromkeys(results))
        for index, value in sources:
            layout.read.setdefault(value, []).append((node, index))
        if shares_scale(node) or (node.op_type == "Concat" and profile.one_concat_scale):
            _, first = sources[0]
            for value in (*node.outputs, *(value for _, value in sources)):
                layout.share(value, first)
    return layout


def calibrated_tensors(nodes: Iterable[ir.Node], profile: Profile) -> list[str]:
    """Returns the names of the tensors whose ranges decide the scales around `nodes`, in the order of first use."""
    tensors = dict.fromkeys(lay_out(nodes, profile).tensors())
    return [value.name for value in tensors if value.name and _source(value) not in tensors]


def scale_ranges(layout: Layout, ranges: Mapping[str, Range]) -> dict[ir.Value, Range]:
    """Returns owner → the range that covers all tensors that share its scale; without those of which none is known."""
    found: dict[ir.Value, Range] = {}
    for value in layout.tensors():
        ends, owner = _known(value, ranges), layout.owner_of(value)
        if ends is not None:
            low, high = found.get(owner, ends)
            found[owner] = min(low, ends[0]), max(high, ends[1])
    return found


def _source(value: ir.Value) -> ir.Value | None:
    """Returns the tensor whose values `value` rearranges."""
    producer = value.producer()
    return producer.inputs[0] if producer is not None and shares_scale(producer) else None


def _known(value: ir.Value, ranges: Mapping[str, Range]) -> Range | None:
    """Returns the range of a tensor, or of the one that it rearranges."""
    found: ir.Value | None = value
    while found is not None and found.name not in ranges:
        found = _source(found)
    return None if found is None or found.name is None else ranges[found.name]


def _results(node: ir.Node) -> list[ir.Value]:
    """Returns the outputs that something reads, after what only clamps them."""
    outputs = node.outputs if node.op_type == "Split" else node.outputs[:1]
    used = [value for value in outputs if value.uses() or value.is_graph_output()]
    return used if shares_scale(node) else [clamped(value) for value in used]


def _sources(node: ir.Node, profile: Profile) -> Sequence[tuple[int, ir.Value]]:
    found = [
        (index, value)
        for index, value in enumerate(activation_inputs(node))
        if value is not None and not is_constant(value)
    ]
    if node.op_type == "Add" and profile.one_add_input and len(found) > 1:
        return [found[_shortcut([value for _, value in found])]]
    return found


def _shortcut(values: Sequence[ir.Value]) -> int:
    """Returns which input of an Add is not fused with the convolution that computes it.

    That is the side that no convolution computes for this sum alone; of two such, the one computed first.
    """
    fusable = [_is_only_read_here(value) for value in values]
    if fusable[0] != fusable[1]:
        return fusable.index(False)
    return 0


def _is_only_read_here(value: ir.Value) -> bool:
    producer = value.producer()
    computed = producer is not None and is_standard(producer) and producer.op_type in {"Conv", "ConvTranspose"}
    return computed and len(value.uses()) == 1
