"""Writes int8 graphs: Q/DQ pairs around the nodes that shall run in int8."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optkit.graph.bulk import without_collection
from optkit.graph.insert_qdq import Inserter
from optkit.quant.affine import INT7_LIMIT, INT8_LIMIT, activation_scale, unsaturated_grid, weight_grid
from optkit.quant.layout import lay_out, scale_ranges
from optkit.quant.parameters import drop_unread, quantize_parameters, quantize_tables
from optkit.quant.shield import free_products, shield_floats

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import onnx_ir as ir
    from numpy.typing import NDArray

    from optkit.quant.affine import Grid, Scale
    from optkit.quant.layout import Layout, Range, Use
    from optkit.quant.profiles import Profile


@dataclass(frozen=True, slots=True)
class Format:
    """How weights become int8.

    Attributes:
        per_channel: One scale per output channel, else one per tensor.
        reduce_range: Keep weights so small that 16 bits hold the sum of two products; activations keep 8 bits.
    """

    per_channel: bool
    reduce_range: bool

    @property
    def limit(self) -> int:
        """The largest code of a weight that is multiplied, whatever its neighbours are."""
        return INT7_LIMIT if self.reduce_range else INT8_LIMIT

    def grid(self, array: NDArray[Any], axis: int) -> Grid:
        """Returns how the weight of a Conv, Gemm or MatMul becomes int8; `axis` is that of its output channels."""
        if not self.per_channel:
            return weight_grid(array, None, self.limit)
        return unsaturated_grid(array, axis) if self.reduce_range else weight_grid(array, axis)


@without_collection()
def write_static(  # noqa: PLR0913, PLR0917  # what decides the graph
    model: ir.Model,
    nodes: Sequence[ir.Node],
    ranges: Mapping[str, Range],
    profile: Profile,
    form: Format,
    stays: Callable[[ir.Node], bool] | None = None,
) -> ir.Model:
    """Returns a copy of the graph with Q/DQ pairs around `nodes`, scaled to `ranges` (tensor name → low, high).

    A node stays float if one of its tensors has no range, and a table if `stays` says so of what looks it up.
    """
    copy = model.clone()
    wanted = set(nodes)
    twins = zip(model.graph.all_nodes(), copy.graph.all_nodes(), strict=True)
    chosen, layout, scales = _scaled([twin for node, twin in twins if node in wanted], ranges, profile)
    inserter = Inserter(copy)
    for node in chosen:
        if node.op_type in profile.weighted:
            source = float(scales[layout.owner_of(layout.around[node][0])].scale)
            bias_for = source if profile.quantize_bias else None
            quantize_parameters(node, inserter, form, bias_for)
    # An output of the graph passes its name on to the floats that it returns: the names of now are the ones to keep.
    owners = [(value, layout.owner_of(value), str(layout.owner_of(value).name)) for value in layout.tensors()]
    for value, owner, name in owners:
        uses = None if value in layout.written else layout.read[value]
        _quantize_activation(value, uses, name, scales[owner], inserter)
    if profile.quantize_tables:
        quantize_tables(copy, inserter, stays)
    if profile.requantizes:
        shield_floats(copy, inserter)
        free_products(copy, inserter)
    drop_unread(copy)
    return copy


def activation_scales(nodes: Sequence[ir.Node], ranges: Mapping[str, Range], profile: Profile) -> dict[str, Scale]:
    """Returns the scale of each tensor that has one of its own, by name."""
    _, _, scales = _scaled(nodes, ranges, profile)
    return {owner.name or "": scale for owner, scale in scales.items()}


def _scaled(
    nodes: Sequence[ir.Node], ranges: Mapping[str, Range], profile: Profile
) -> tuple[Sequence[ir.Node], Layout, dict[ir.Value, Scale]]:
    """Returns the nodes all of whose tensors have a range, where their Q/DQ go, and a scale per owner."""
    while True:
        layout = lay_out(nodes, profile)
        known = scale_ranges(layout, ranges)
        ready = [node for node in nodes if all(layout.owner_of(value) in known for value in layout.around[node])]
        if len(ready) == len(nodes):
            signed = profile.signed_activations
            return ready, layout, {owner: activation_scale(*ends, signed=signed) for owner, ends in known.items()}
        nodes = ready


def _quantize_activation(
    value: ir.Value, uses: Sequence[Use] | None, name: str, scale: Scale, inserter: Inserter
) -> None:
    """Makes `uses`, or everything if None, read the int8 version of `value`; the constants are called after `name`."""
    constants = [
        inserter.constant(value, f"{name}_scale", scale.scale),
        inserter.constant(value, f"{name}_zero_point", scale.zero_point),
    ]
    if uses is not None:
        inserter.dequantize([inserter.quantize(value, *constants), *constants], value, uses)
    else:
        readers = value.uses()
        inserter.dequantize_all(value, [inserter.quantize(value, *constants), *constants], readers)
