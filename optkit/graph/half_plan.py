"""Decides which nodes run in half precision, and says why the others do not."""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from optkit.graph.half_types import half_slots, is_float

if TYPE_CHECKING:
    import onnx_ir as ir

    from optkit.graph.half_types import HalfName, Slots

LARGEST = {"float16": 65504.0, "bfloat16": 3.3895e38}
_SMALLEST = {"float16": 2.0**-14, "bfloat16": 2.0**-126}
_MARGIN = 0.25
"""Share of the largest number that a value may reach on the data seen: other data may give more."""

_MOVES = frozenset(
    {"Reshape", "Transpose", "Slice", "Concat", "Squeeze", "Unsqueeze", "Split", "Expand", "Identity", "Flatten",
     "Tile", "Gather", "GatherND", "GatherElements", "Dropout", "Neg", "Abs", "Pad", "DepthToSpace", "SpaceToDepth"}
)  # fmt: skip
_CARRIES = _MOVES | {"Add", "Sub", "Mul", "Div", "Where", "Max", "Min", "Cast", "Sum"}
"""A value beyond the range stays beyond it through these."""
_QUANTIZED = frozenset({"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"})


@dataclass(frozen=True, slots=True)
class Rules:
    """What stays float32.

    Attributes:
        kind: The half precision.
        operators: Operators that stay, because their sums or exponentials lose too much.
        keep: Patterns of names of nodes that stay.
        peaks: Tensor → largest magnitude that was seen.
    """

    kind: HalfName
    operators: frozenset[str]
    keep: tuple[str, ...] = ()
    peaks: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class HalfPlan:
    """What the rewrite does.

    Attributes:
        slots: Node that runs in half precision → its inputs and outputs that change.
        kept: Node with float32 tensors that stays → why.
        half: Values that become half precision.
    """

    slots: dict[ir.Node, Slots] = field(default_factory=dict)
    kept: dict[ir.Node, str] = field(default_factory=dict)
    half: set[ir.Value] = field(default_factory=set)


def plan_half(model: ir.Model, rules: Rules, *, half_inputs: bool) -> HalfPlan:
    """Returns the plan for a sorted graph whose float32 tensors are all typed.

    Args:
        model: The graph; it is not changed.
        rules: What stays.
        half_inputs: Whether the graph's float32 inputs arrive in half precision.
    """
    plan = HalfPlan(half={value for value in model.graph.inputs if half_inputs and is_float(value)})
    planner = _Planner(model, rules, plan)
    for node in model.graph.all_nodes():
        if any(is_float(value) for value in (*node.inputs, *node.outputs)):
            planner.decide(node)
    return plan


class _Planner:
    """Goes through the nodes once, in order, and knows what was decided before."""

    def __init__(self, model: ir.Model, rules: Rules, plan: HalfPlan) -> None:
        self._rules, self._plan = rules, plan
        self._opsets = dict(model.opset_imports)
        self._wide: set[ir.Value] = set()
        self._counted: set[ir.Value] = set()
        self._extents: dict[ir.Value, tuple[float, float]] = {}

    def decide(self, node: ir.Node) -> None:
        """Adds `node` to the plan."""
        slots = half_slots(node, self._rules.kind, self._opsets)
        beyond = self._beyond_range(node)
        reason = self._named(node) or self._quantized(node) or self._from_integers(node) or beyond or self._peak(node)
        if not reason and slots is None:
            reason = f"{node.op_type} takes no {self._rules.kind} here"
        if not reason and self._follows(node):
            reason = "it lies between nodes that stay"
        if reason or slots is None:
            self._plan.kept[node] = reason
            return
        self._plan.slots[node] = slots
        self._plan.half.update(node.outputs[index] for index in slots.outputs)

    def _named(self, node: ir.Node) -> str:
        if any(attribute.type.name in {"GRAPH", "GRAPHS"} for attribute in node.attributes.values()):
            return "it holds a graph of its own"
        pattern = next((pattern for pattern in self._rules.keep if fnmatchcase(node.name or "", pattern)), None)
        if pattern is not None:
            return f"kept by {pattern!r}"
        return f"{node.op_type} is kept in float32" if node.op_type in self._rules.operators else ""

    def _quantized(self, node: ir.Node) -> str:
        """Runtimes match Q/DQ patterns around nodes: a cast within them would break the int8 kernel."""
        sources = [value.producer() for value in node.inputs if value is not None]
        readers = [reader for value in node.outputs for reader, _ in value.uses()]
        around = [node, *(other for other in (*sources, *readers) if other is not None)]
        return "it belongs to an int8 pattern" if any(other.op_type in _QUANTIZED for other in around) else ""

    def _from_integers(self, node: ir.Node) -> str:
        """Masks, positions and sizes: exact integers, which half precision has up to 2048 (or 256) only."""
        activations, constants = _float_inputs(node)
        if any(value not in self._counted for value in activations):
            return ""
        if any(value.const_value is not None and value.const_value.size > 1 for value in constants):
            return ""
        if not any(is_float(value) for value in node.outputs):
            return ""
        self._counted.update(node.outputs)
        return "it is computed from integers (a mask, a position or a size)"

    def _peak(self, node: ir.Node) -> str:
        for value in (*node.inputs, *node.outputs):
            peak = self._rules.peaks.get(value.name or "", 0.0) if value is not None else 0.0
            if peak > _MARGIN * LARGEST[self._rules.kind]:
                return f"values of {peak:.3g} are near or beyond the range of {self._rules.kind}"
        return ""

    def _beyond_range(self, node: ir.Node) -> str:
        """Returns which input leaves the range, if one does, and remembers that the result may, too."""
        for value in node.inputs:
            reason = self._beyond(value) if is_float(value) and value is not None else ""
            if reason:
                if node.op_type in _CARRIES:
                    self._wide.update(node.outputs)
                return reason
        return ""

    def _beyond(self, value: ir.Value) -> str:
        kind = self._rules.kind
        if value in self._wide:
            return f"values may lie beyond the range of {kind}"
        if value.const_value is None:
            return ""
        if value not in self._extents:
            self._extents[value] = _extent(value.const_value)
        smallest, largest = self._extents[value]
        if largest > LARGEST[kind]:
            return f"constant {value.name} lies beyond the range of {kind}"
        is_scalar = value.const_value.size == 1
        return f"constant {value.name} vanishes in {kind}" if is_scalar and 0 < smallest < _SMALLEST[kind] else ""

    def _follows(self, node: ir.Node) -> bool:
        """Whether the node only moves, or turns into no floats, what is float32 already: a cast would buy nothing."""
        if node.op_type not in _MOVES and any(is_float(value) for value in node.outputs):
            return False
        activations, _ = _float_inputs(node)
        return bool(activations) and not any(value in self._plan.half for value in activations)


def _float_inputs(node: ir.Node) -> tuple[list[ir.Value], list[ir.Value]]:
    """Returns the float32 activations and the float32 constants that a node reads."""
    floats = [value for value in node.inputs if value is not None and is_float(value)]
    return [v for v in floats if v.const_value is None], [v for v in floats if v.const_value is not None]


def _extent(tensor: ir.TensorProtocol) -> tuple[float, float]:
    """Returns the smallest and the largest magnitude of a constant; infinity exists in half precision, too."""
    import numpy as np

    array = tensor.numpy()
    low, high = float(array.min(initial=0)), float(array.max(initial=0))
    if tensor.size > 1 and np.isfinite(low) and np.isfinite(high):
        return 0.0, max(-low, high)  # whether a large weight holds something small does not matter
    finite = np.abs(array[np.isfinite(array)])
    return float(finite.min(initial=np.inf)), float(finite.max(initial=0.0))
