"""Rewrites a graph to half precision."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optkit.graph.half_types import is_float
from optkit.graph.shapes import name_nodes

if TYPE_CHECKING:
    import onnx_ir as ir

    from optkit.graph.half_plan import HalfPlan
    from optkit.graph.half_types import HalfName


def cast_half(model: ir.Model, plan: HalfPlan, kind: HalfName, *, keep_io: bool) -> None:
    """Changes the nodes, values and weights of `plan` to half precision, in place, with casts where it ends.

    Each tensor is cast once per graph. Weights become half in the file; those that float32 nodes read, too, are there
    twice. Bodies of If and Loop take and give float32.

    Args:
        model: The graph, sorted.
        plan: What changes.
        kind: The half precision.
        keep_io: Whether the graph's own inputs and outputs keep float32.
    """
    import onnx_ir.passes.common as passes

    _Rewriter(model, plan, kind).rewrite(keep_io=keep_io)
    passes.RemoveUnusedNodesPass()(model)
    name_nodes(model)
    passes.TopologicalSortPass()(model)


class _Rewriter:
    def __init__(self, model: ir.Model, plan: HalfPlan, kind: HalfName) -> None:
        import onnx_ir as ir

        self._model, self._plan = model, plan
        self._half = ir.DataType.FLOAT16 if kind == "float16" else ir.DataType.BFLOAT16
        self._made: dict[tuple[ir.Value, ir.Graph | ir.Function | None, bool], ir.Value] = {}

    def rewrite(self, *, keep_io: bool) -> None:
        import onnx_ir as ir

        graphs = list(self._model.graphs())
        floats = {value for value in self._model.graph.outputs if is_float(value)}
        for node in list(self._model.graph.all_nodes()):
            self._inputs(node)
        for graph in graphs:
            for index, value in enumerate(graph.outputs):
                wanted = graph is self._model.graph and not keep_io and value in floats
                if (value in self._plan.half) != wanted and (wanted or value in self._plan.half):
                    self._output(graph, index, half=wanted)
        for value in self._plan.half:
            value.type = ir.TensorType(self._half)

    def _inputs(self, node: ir.Node) -> None:
        slots = self._plan.slots.get(node)
        if slots is not None and node.op_type == "Cast" and slots.outputs:
            import onnx_ir as ir

            node.attributes["to"] = ir.AttrInt64("to", self._half)
        for index, value in enumerate(node.inputs):
            if value is None or not is_float(value):
                continue
            wanted = slots is not None and index in slots.inputs
            if wanted != (value in self._plan.half):
                node.replace_input_with(index, self._cast(value, node, half=wanted))

    def _cast(self, value: ir.Value, reader: ir.Node, *, half: bool) -> ir.Value:
        """Returns the value in the other precision, for readers in the same graph."""
        graph = reader.graph
        key = (value, graph, half)
        if key not in self._made:
            if value.const_value is not None and half:
                self._made[key] = self._weight(value)
            else:
                node = self._node(value, half=half)
                assert graph is not None  # noqa: S101  # it comes from the model
                graph.insert_before(reader, node)
                self._made[key] = node.outputs[0]
        return self._made[key]

    def _node(self, value: ir.Value, *, half: bool) -> ir.Node:
        import onnx_ir as ir

        to = self._half if half else ir.DataType.FLOAT
        node = ir.node("Cast", [value], {"to": int(to)}, name=f"{value.name}_to_{to.name.lower()}")
        result = node.outputs[0]
        result.name, result.shape, result.type = f"{value.name}_{to.name.lower()}", value.shape, ir.TensorType(to)
        return node

    def _weight(self, value: ir.Value) -> ir.Value:
        """Returns the initializer in half precision, beside the float32 one; it is converted when it is saved."""
        import onnx_ir as ir

        key = (value, None, True)
        tensor, graph = value.const_value, value.graph
        if key not in self._made and tensor is not None and graph is not None:
            name = f"{value.name}_{self._half.name.lower()}"
            made = ir.Value(name=name, shape=ir.Shape(tensor.shape.numpy()), type=ir.TensorType(self._half))
            made.const_value = as_type(tensor, self._half, name)
            graph.initializers[name] = made
            self._made[key] = made
        return self._made[key]

    def _output(self, graph: ir.Graph, index: int, *, half: bool) -> None:
        """Puts a cast in front of an output of a graph; the output keeps its name."""
        value = graph.outputs[index]
        node = self._node(value, half=half)
        graph.append(node)
        result = node.outputs[0]
        if not value.is_graph_input() and not value.is_initializer():
            result.name = value.name
            value.name = f"{value.name}_inner"
        graph.outputs[index] = result


def as_type(tensor: ir.TensorProtocol, kind: ir.DataType, name: str) -> ir.LazyTensor:
    """Returns a float tensor in another precision, converted whenever it is read, so that none is held."""
    import onnx_ir as ir

    shape = ir.Shape(tensor.shape.numpy())

    def convert() -> ir.TensorProtocol:
        return ir.Tensor(tensor.numpy().astype(kind.numpy()), kind, shape=shape, name=name)

    return ir.LazyTensor(convert, kind, shape, name=name)
