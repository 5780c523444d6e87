"""What a model computes and holds in memory: at the tuned sizes, and as formulas in its dynamic dimensions."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optkit.core.interface import BATCH, Interface, shape_at
from optkit.graph import known
from optkit.graph.at_sizes import Tally, at_sizes
from optkit.graph.describe import DEFAULT_BATCH, DEFAULT_DIM
from optkit.graph.fit import fit
from optkit.graph.infer import Inference
from optkit.graph.known import UNKNOWN, Known

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx_ir as ir

    from optkit.graph.polynomial import Polynomial

QUANTITIES = ("macs", "flops", "peak_bytes")


@dataclass(frozen=True, slots=True)
class Quantity:
    """A count.

    Attributes:
        value: At the tuned sizes.
        formula: In the dynamic dimensions, as text; empty if it follows no polynomial that was found.
        terms: The same for programs: a coefficient (an integer where it is one), and dimension → power.
    """

    value: int
    formula: str
    terms: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class ModelCost:
    """What one run takes.

    Attributes:
        sizes: Dynamic dimension → the tuned size.
        steps: Dimension → p, where the formulas hold at the tuned size plus multiples of p only.
        macs: Multiply-accumulates.
        flops: Floating-point operations.
        peak_bytes: Most bytes of activations, inputs and outputs alive at once.
        operators: Operator → MACs at the tuned sizes, the most first.
        uncounted: Node → why it is not in the counts.
        unsized: Activations of unknown size, which are not in the peak.
        activations: The largest activations at the tuned sizes, name → bytes.
    """

    sizes: dict[str, int]
    steps: dict[str, int]
    macs: Quantity
    flops: Quantity
    peak_bytes: Quantity
    operators: dict[str, int]
    uncounted: dict[str, str]
    unsized: int
    activations: dict[str, int]


def model_cost(model: ir.Model, interface: Interface | None, largest: int) -> ModelCost:
    """Returns the cost of a graph in topological order.

    Args:
        model: The graph; no weight is read.
        interface: Its inputs and dimensions; without it, axes have default sizes.
        largest: How many activations to list.
    """
    inference = Inference({domain or "": version for domain, version in model.opset_imports.items()})
    shapes = _input_axes(model, interface)
    names = dict.fromkeys(axis for shape in shapes.values() for axis in shape if isinstance(axis, str))
    tuned = _tuned(names, interface)
    raw = _raw_names(model, shapes)

    def tally(sizes: Mapping[str, int]) -> Tally:
        inputs = {value.name or "": _input(value, shapes, sizes) for value in model.graph.inputs}
        return at_sizes(model, inputs, {name: sizes[dim] for name, dim in raw.items()}, inference)

    first = tally(tuned)

    def measure(sizes: Mapping[str, int]) -> dict[str, int]:
        found = first if sizes == tuned else tally(sizes)
        # Where something cannot be sized, or only there, a formula would speak of another part of the graph.
        same = found.uncounted.keys() == first.uncounted.keys() and found.unsized == first.unsized
        return dict(zip(QUANTITIES, (found.cost.macs, found.cost.flops, found.peak), strict=True)) if same else {}

    fitted = fit(measure, tuned, leading="flops")
    counts = zip(QUANTITIES, (first.cost.macs, first.cost.flops, first.peak), strict=True)
    quantities = {name: _quantity(value, fitted.formulas.get(name)) for name, value in counts}
    ordered = sorted(first.sizes.items(), key=lambda item: -item[1])[:largest]
    return ModelCost(
        sizes=tuned,
        steps=dict(fitted.steps),
        **quantities,
        operators=dict(Counter(first.operators).most_common()),
        uncounted=first.uncounted,
        unsized=first.unsized,
        activations=dict(ordered),
    )


def _quantity(value: int, formula: Polynomial | None) -> Quantity:
    if formula is None:
        return Quantity(value, "", ())
    terms = tuple(
        {
            "coefficient": factor.numerator if factor.denominator == 1 else float(factor),
            "powers": dict(monomial),
        }
        for monomial, factor in formula.terms
    )
    return Quantity(value, str(formula), terms)


def _input_axes(model: ir.Model, interface: Interface | None) -> dict[str, tuple[int | str, ...]]:
    """Returns input → axes, as the interface names them, for inputs that are tensors of known rank."""
    if interface is not None:
        return {tensor.name: tensor.shape for tensor in interface.inputs}
    return {
        value.name or "": tuple(
            axis if isinstance(axis, int) else axis.value or f"{value.name}_{index}"
            for index, axis in enumerate(value.shape)
        )
        for value in model.graph.inputs
        if value.shape is not None and value.dtype is not None
    }


def _tuned(names: Mapping[str, None], interface: Interface | None) -> dict[str, int]:
    given = interface.sizes("opt") if interface is not None else {}
    return {name: given.get(name, (DEFAULT_BATCH if name == BATCH else DEFAULT_DIM).opt) for name in names}


def _raw_names(model: ir.Model, shapes: Mapping[str, tuple[int | str, ...]]) -> dict[str, str]:
    """Returns the graph's own name of an axis → the dimension."""
    return {
        axis.value: dim
        for value in model.graph.inputs
        for axis, dim in zip(value.shape or (), shapes.get(value.name or "", ()), strict=False)
        if not isinstance(axis, int) and axis.value is not None and isinstance(dim, str)
    }


def _input(value: ir.Value, shapes: Mapping[str, tuple[int | str, ...]], sizes: Mapping[str, int]) -> Known:
    import onnx_ir as ir

    from optkit.core.interface import Tensor

    if value.type is None:
        return UNKNOWN
    if (value.name or "") not in shapes or not isinstance(value.type, ir.TensorType):
        return known.of_type(ir.serde.serialize_type(value.type))
    shape = shape_at(Tensor(value.name or "", "", shapes[value.name or ""]), sizes)
    return known.tensor(value.type.dtype, shape)
