"""Walks a graph, its bodies and its functions with the sizes of its inputs given: shapes, cost and memory.

Nothing is computed but sizes: weights are not read, and no loop is run.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from optkit.graph import known
from optkit.graph.known import UNKNOWN, Known
from optkit.graph.liveness import peak_bytes
from optkit.graph.node_cost import Cost, Site, Uncounted, node_cost

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import onnx_ir as ir

    from optkit.graph.infer import Inference

    Attributes = Mapping[str, ir.Attr]
    Env = dict[ir.Value, Known]

_DEEPEST = 40
"""Bodies and functions within each other; a file that goes deeper is not followed."""


@dataclass(slots=True)
class Tally:
    """What a graph costs.

    Attributes:
        cost: Of all that could be counted.
        operators: Operator → MACs.
        uncounted: Node → why its cost is not in it.
        peak: Most bytes of activations alive at once.
        unsized: Tensors of unknown size, which are not in `peak`.
        sizes: Tensor → bytes, for the activations of this graph and its bodies.
    """

    cost: Cost = field(default_factory=Cost)
    operators: Counter[str] = field(default_factory=Counter)
    uncounted: dict[str, str] = field(default_factory=dict)
    peak: int = 0
    unsized: int = 0
    sizes: dict[str, int] = field(default_factory=dict)

    def add(self, other: Tally, times: int = 1) -> None:
        """Adds what a body costs that runs so often; its peak is the caller's to place."""
        self.cost += other.cost.times(times)
        self.operators.update({name: macs * times for name, macs in other.operators.items()})
        self.uncounted |= other.uncounted
        self.unsized += other.unsized
        self.sizes |= other.sizes


def at_sizes(model: ir.Model, inputs: Mapping[str, Known], axes: Mapping[str, int], inference: Inference) -> Tally:
    """Returns what the graph costs for inputs of these types.

    Args:
        model: The graph, in topological order.
        inputs: Input → what is known of it.
        axes: Names that the graph gives to axes → size, for shapes that it declares and that cannot be inferred.
        inference: Remembers what was inferred, also at other sizes.
    """
    walk = _Walk(model, axes, inference)
    env = {value: inputs[value.name or ""] for value in model.graph.inputs if (value.name or "") in inputs}
    return walk.graph(model.graph, env, {}, held=True)


@dataclass(slots=True)
class _Walk:
    model: ir.Model
    axes: Mapping[str, int]
    inference: Inference
    depth: int = 0
    called: dict[tuple[object, ...], tuple[tuple[Known, ...], Tally]] = field(default_factory=dict)

    def graph(self, graph: ir.Graph, env: Env, attributes: Attributes, *, held: bool = False) -> Tally:
        """Fills `env` with what is known of the graph's values, and returns the cost.

        Args:
            graph: The graph or body.
            env: What is known so far, the graph's inputs included.
            attributes: Those of the function call that it is in.
            held: Whether the inputs stay in memory to the end, as the caller's do.
        """
        total = Tally()
        for value in graph.initializers.values():
            env[value] = self.inference.stored(value)
        inner: dict[ir.Node, int] = {}
        for node in graph:
            body = self.node(node, env, attributes, total)
            inner[node] = body
        sized = {value: env.get(value, UNKNOWN).bytes for value in _activations(graph)}
        total.unsized += sum(size is None for size in sized.values())
        total.sizes |= {value.name or "": size for value, size in sized.items() if size is not None}
        total.peak = peak_bytes(graph, {value: size or 0 for value, size in sized.items()}, inner, held=held)
        return total

    def node(self, node: ir.Node, env: Env, outer: Attributes, total: Tally) -> int:
        """Adds a node to the total and its outputs to `env`; returns the peak memory within its body."""
        attributes = _resolved(node, outer)
        inputs = [None if value is None else env.get(value, UNKNOWN) for value in node.inputs]
        bodies = [attribute for attribute in attributes.values() if _is_body(attribute)]
        function = self.model.functions.get(node.op_identifier())
        if self.depth >= _DEEPEST:
            total.uncounted[_label(node)] = "it is nested too deeply"
            outputs, peak = (UNKNOWN,) * len(node.outputs), 0
        elif function is not None:
            outputs, peak = self._call(node, function, inputs, attributes, total)
        elif bodies:
            outputs, peak = self._branching(node, inputs, attributes, env, total)
        else:
            outputs, peak = self.inference.outputs(node, attributes, inputs), 0
        outputs = tuple(map(self._declared, node.outputs, outputs))
        env.update(zip(node.outputs, outputs, strict=True))
        if function is None and not bodies:
            self._count(node, Site(_operator(node), attributes, inputs, outputs), total)
        return peak

    def _count(self, node: ir.Node, site: Site, total: Tally) -> None:
        try:
            cost = node_cost(site)
        except Uncounted as error:
            total.uncounted[_label(node)] = str(error)
            return
        except (ValueError, KeyError, IndexError, TypeError):
            total.uncounted[_label(node)] = "its attributes or inputs do not fit its operator"
            return
        total.cost += cost
        if cost.macs:
            total.operators[node.op_type] += cost.macs

    def _declared(self, value: ir.Value, inferred: Known) -> Known:
        """Returns what the graph declares of a value where inference ended."""
        if inferred.elements is not None or value.shape is None or value.dtype is None:
            return inferred
        axes = [axis if isinstance(axis, int) else self.axes.get(axis.value or "") for axis in value.shape]
        if inferred.shape is not None and len(inferred.shape) == len(axes):
            axes = [said if seen is None else seen for seen, said in zip(inferred.shape, axes, strict=True)]
        return known.tensor(value.dtype, axes)

    def _call(
        self, node: ir.Node, function: ir.Function, inputs: Sequence[Known | None], attributes: Attributes, total: Tally
    ) -> tuple[tuple[Known, ...], int]:
        """Costs a function once for each kind of call: nested functions would otherwise multiply."""
        given = {name: each for name, each in function.attributes.items() if each.value is not None} | dict(attributes)
        key = (node.op_identifier(), *(_fingerprint(each) for each in inputs), *map(repr, given.values()))
        if key not in self.called:
            env: Env = {}
            for value, each in zip(function.inputs, inputs, strict=False):
                env[value] = each or UNKNOWN
            self.depth += 1
            tally = self.graph(function.graph, env, given)
            self.depth -= 1
            self.called[key] = tuple(env.get(value, UNKNOWN) for value in function.outputs), tally
        outputs, tally = self.called[key]
        total.add(tally)
        return (*outputs, *(UNKNOWN,) * (len(node.outputs) - len(outputs)))[: len(node.outputs)], tally.peak

    def _body(self, body: ir.Graph, inputs: Sequence[Known], env: Env, attributes: Attributes) -> Tally:
        env.update(zip(body.inputs, inputs, strict=False))
        self.depth += 1
        tally = self.graph(body, env, attributes)
        self.depth -= 1
        return tally

    def _branching(
        self, node: ir.Node, inputs: Sequence[Known | None], attributes: Attributes, env: Env, total: Tally
    ) -> tuple[tuple[Known, ...], int]:
        if node.op_type == "If" and {"then_branch", "else_branch"} <= attributes.keys():
            return self._if(inputs, attributes, env, total)
        if node.op_type == "Loop" and "body" in attributes:
            return self._loop(node, inputs, attributes, env, total)
        if node.op_type == "Scan" and "body" in attributes and "num_scan_inputs" in attributes:
            return self._scan(node, inputs, attributes, env, total)
        total.uncounted[_label(node)] = "its body is not followed"
        return (UNKNOWN,) * len(node.outputs), 0

    def _if(
        self, inputs: Sequence[Known | None], attributes: Attributes, env: Env, total: Tally
    ) -> tuple[tuple[Known, ...], int]:
        """The branch that is taken; of two that may be, the costlier."""
        branches = [attributes[name].as_graph() for name in ("then_branch", "else_branch")]
        condition = inputs[0].value if inputs and inputs[0] is not None else None
        if condition is not None and condition.size == 1:
            branches = [branches[0 if condition.item() else 1]]
        tallies = [self._body(branch, (), env, attributes) for branch in branches]
        total.add(max(tallies, key=lambda tally: (tally.cost.macs, tally.cost.flops)))
        results = [[env.get(value, UNKNOWN) for value in branch.outputs] for branch in branches]
        merged = [_common(pair) for pair in zip(*results, strict=False)]
        return tuple(merged), max(tally.peak for tally in tallies)

    def _loop(
        self, node: ir.Node, inputs: Sequence[Known | None], attributes: Attributes, env: Env, total: Tally
    ) -> tuple[tuple[Known, ...], int]:
        import numpy as np

        body = attributes["body"].as_graph()
        state = [each or UNKNOWN for each in inputs[2:]]
        index, go_on = known.tensor(7, ()), known.array(np.array(True))  # noqa: FBT003  # the condition's value
        tally = self._settled(body, [index, go_on], state, env, attributes)
        results = [env.get(value, UNKNOWN) for value in body.outputs]
        trips = _trips(inputs, results[0].value if results else None)
        _add_iterations(node, tally, trips, total)
        stacked = [_stacked(each, trips) for each in results[1 + len(state) :]]
        return (*map(_common, zip(state, results[1 : 1 + len(state)], strict=False)), *stacked), tally.peak

    def _settled(
        self, body: ir.Graph, fixed: list[Known], state: list[Known], env: Env, attributes: Attributes
    ) -> Tally:
        """Walks a body; again, if an iteration changes a shape, with the changed axes unknown."""
        tally = self._body(body, [*fixed, *state], env, attributes)
        results = [env.get(value, UNKNOWN) for value in body.outputs][1 if len(fixed) > 1 else 0 :]
        common = [_common(pair) for pair in zip(state, results, strict=False)]
        if [each.shape for each in common] != [each.shape for each in state[: len(common)]]:
            tally = self._body(body, [*fixed, *common], env, attributes)
        return tally

    def _scan(
        self, node: ir.Node, inputs: Sequence[Known | None], attributes: Attributes, env: Env, total: Tally
    ) -> tuple[tuple[Known, ...], int]:
        body, count = attributes["body"].as_graph(), attributes["num_scan_inputs"].as_int()
        given = [each or UNKNOWN for each in inputs]
        state, scanned = given[: len(given) - count], given[len(given) - count :]
        axes = attributes["scan_input_axes"].as_ints() if "scan_input_axes" in attributes else [0] * count
        trips = next((each.axis(axis) for each, axis in zip(scanned, axes, strict=False)), None)
        rows = [_without_axis(each, axis) for each, axis in zip(scanned, axes, strict=False)]
        tally = self._body(body, [*state, *rows], env, attributes)
        results = [env.get(value, UNKNOWN) for value in body.outputs]
        _add_iterations(node, tally, trips, total)
        plain = "scan_output_axes" not in attributes or not any(attributes["scan_output_axes"].as_ints())
        stacked = [_stacked(each, trips) if plain else UNKNOWN for each in results[len(state) :]]
        return (*map(_common, zip(state, results[: len(state)], strict=False)), *stacked), tally.peak


def _resolved(node: ir.Node, outer: Attributes) -> dict[str, ir.Attr]:
    """Returns the attributes, each reference replaced by what the function's caller gave."""
    import onnx_ir as ir

    found: dict[str, ir.Attr] = {}
    for name, attribute in node.attributes.items():
        if not attribute.is_ref():
            found[name] = attribute
        elif (given := outer.get(attribute.ref_attr_name or "")) is not None:
            found[name] = ir.Attr(name, given.type, given.value)
    return found


def _is_body(attribute: ir.Attr) -> bool:
    import onnx_ir as ir

    return attribute.type in {ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS}


def _operator(node: ir.Node) -> str:
    """Attention is another operator in ONNX Runtime's domain."""
    return f"{node.domain}::Attention" if node.domain and node.op_type == "Attention" else node.op_type


def _label(node: ir.Node) -> str:
    name = node.name or next((value.name for value in node.outputs if value.name), "")
    return f"{node.op_type} {name}".rstrip()


def _fingerprint(each: Known | None) -> tuple[bytes, bytes]:
    if each is None:
        return b"-", b""
    return each.type, b"" if each.value is None else each.value.tobytes()


def _activations(graph: ir.Graph) -> Iterable[ir.Value]:
    weights = set(graph.initializers.values())
    yield from (value for value in graph.inputs if value not in weights)
    for node in graph:
        if node.op_type != "Constant":
            yield from (value for value in node.outputs if value.name)


def _common(pair: Sequence[Known]) -> Known:
    """Returns what several tensors that a value may be have in common."""
    first, *others = pair
    for other in others:
        if first.type == other.type:
            continue
        if first.shape is None or other.shape is None or len(first.shape) != len(other.shape):
            return UNKNOWN
        axes = [a if a == b else None for a, b in zip(first.shape, other.shape, strict=True)]
        first = known.tensor(first.kind, axes)
    return Known(first.type, first.shape, first.kind)


def _trips(inputs: Sequence[Known | None], condition: object) -> int | None:
    """Returns how often a loop runs, if the count is known and nothing ends it early."""
    count = inputs[0].value if inputs and inputs[0] is not None else None
    entered = inputs[1] if len(inputs) > 1 else None
    starts = entered is None or (entered.value is not None and bool(entered.value.all()))
    goes_on = condition is not None and bool(condition)
    return max(int(count.item()), 0) if count is not None and count.size == 1 and starts and goes_on else None


def _add_iterations(node: ir.Node, tally: Tally, trips: int | None, total: Tally) -> None:
    if trips is None and tally.cost.flops:
        macs, flops = tally.cost.macs, tally.cost.flops
        total.uncounted[_label(node)] = (
            f"how often it runs depends on the data; each time takes {macs:,} MACs and {flops:,} FLOPs"
        )
    total.add(tally, trips or 0)


def _stacked(each: Known, trips: int | None) -> Known:
    return UNKNOWN if each.shape is None else known.tensor(each.kind, (trips, *each.shape))


def _without_axis(each: Known, axis: int) -> Known:
    if each.shape is None or not -len(each.shape) <= axis < len(each.shape):
        return UNKNOWN
    index = axis % len(each.shape)
    return known.tensor(each.kind, each.shape[:index] + each.shape[index + 1 :])
