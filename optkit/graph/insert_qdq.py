"""Inserts QuantizeLinear and DequantizeLinear nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import onnx_ir as ir
    from numpy.typing import NDArray

    Use = tuple[ir.Node, int]


class Inserter:
    """Adds constants and Q/DQ nodes to a model, in place; new names never clash with old ones.

    A DequantizeLinear goes to the graph that reads it, be it the body of an If or Loop: runtimes match patterns within
    one graph. The work is proportional to what is inserted.
    """

    def __init__(self, model: ir.Model) -> None:
        """Collects the names that `model` uses."""
        self._names: set[str] = set()
        self._constants: dict[tuple[int, str], ir.Value] = {}
        for graph in model.graphs():
            self._names.update(value.name or "" for value in (*graph.inputs, *graph.initializers.values()))
            for node in graph:
                self._names.add(node.name or "")
                self._names.update(value.name or "" for value in node.outputs)

    def constant(self, beside: ir.Value, name: str, array: NDArray[Any] | Callable[[], NDArray[Any]]) -> ir.Value:
        """Returns an initializer in the graph of `beside`; for a name given before, the one made then."""
        import onnx_ir as ir

        graph = _graph(beside)
        key = (id(graph), name)
        if key not in self._constants:
            tensor = ir.Tensor(array() if callable(array) else array, name=self._free(name))
            value = ir.Value(name=tensor.name, shape=ir.Shape(tensor.shape), const_value=tensor)
            value.type = ir.TensorType(tensor.dtype)
            graph.register_initializer(value)
            self._constants[key] = value
        return self._constants[key]

    def quantize(self, value: ir.Value, scale: ir.Value, zero_point: ir.Value) -> ir.Value:
        """Returns the codes of a float tensor, computed right after it."""
        import onnx_ir as ir

        codes = self._node("QuantizeLinear", [value, scale, zero_point], f"{value.name}_quantized", value)
        codes.type = ir.TensorType(zero_point.dtype or ir.DataType.UINT8)
        self._place(codes, after=value)
        return codes

    def dequantize(
        self, inputs: Sequence[ir.Value], like: ir.Value, uses: Iterable[Use], axis: int | None = None
    ) -> None:
        """Makes readers take the floats that `inputs` stand for; each graph gets a node of its own.

        Args:
            inputs: Codes, scale and, but for int32, zero point.
            like: The float tensor that the codes were made of; the result has its shape and type.
            uses: Nodes and the indices of their inputs.
            axis: Of the channels, where there is more than one scale.
        """
        results: dict[int, ir.Value] = {}
        for node, index in uses:
            graph = _graph(node)
            if id(graph) not in results:
                result = self._node("DequantizeLinear", inputs, f"{like.name}_dequantized", like, axis)
                result.type = like.type
                self._place(result, after=inputs[0], graph=graph)
                results[id(graph)] = result
            node.replace_input_with(index, results[id(graph)])

    def dequantize_all(
        self, value: ir.Value, inputs: Sequence[ir.Value], uses: Iterable[Use], axis: int | None = None
    ) -> None:
        """As `dequantize`; a graph that returns `value` then returns the floats, under the same name."""
        self.dequantize(inputs, value, uses, axis)
        if not value.is_graph_output():
            return
        graph = _graph(value)
        result = self._node("DequantizeLinear", inputs, f"{value.name}_float", value, axis)
        result.type = value.type
        self._place(result, after=inputs[0])
        value.name, result.name = result.name, value.name
        graph.outputs[:] = [result if output is value else output for output in graph.outputs]

    def before(
        self,
        node: ir.Node,
        op_type: str,
        inputs: Sequence[ir.Value | None],
        attributes: Mapping[str, Any] | None = None,
        outputs: int = 1,
    ) -> Sequence[ir.Value]:
        """Returns the outputs of a new node just before `node`."""
        import onnx_ir as ir

        made = ir.node(op_type, inputs, attributes, num_outputs=outputs, name=self._free(f"{node.name}_{op_type}"))
        for value in made.outputs:
            value.name = self._free(f"{node.name}_{op_type}")
        _graph(node).insert_before(node, [made])
        return made.outputs

    def replace(
        self,
        node: ir.Node,
        op_type: str,
        inputs: Sequence[ir.Value | None],
        attributes: Mapping[str, Any] | None = None,
        domain: str = "",
    ) -> None:
        """Puts another node in the place of `node`, with outputs of the same names, types and shapes."""
        import onnx_ir as ir

        made = ir.node(
            op_type, inputs, attributes, domain=domain, num_outputs=len(node.outputs), name=node.name,
            metadata_props=dict(node.metadata_props),
        )  # fmt: skip
        for old, new in zip(node.outputs, made.outputs, strict=True):
            new.name, new.type, new.shape = old.name, old.type, old.shape
        ir.convenience.replace_nodes_and_values(_graph(node), node, [node], [made], node.outputs, made.outputs)

    def _node(
        self, op_type: str, inputs: Sequence[ir.Value], name: str, like: ir.Value, axis: int | None = None
    ) -> ir.Value:
        import onnx_ir as ir

        free = self._free(name)
        attributes = {} if axis is None else {"axis": axis}
        result = ir.node(op_type, inputs, attributes, name=free).outputs[0]
        result.name, result.shape = free, like.shape
        return result

    def _place(self, result: ir.Value, *, after: ir.Value, graph: ir.Graph | None = None) -> None:
        """Inserts the node of `result` right after `after`, or first where that comes from outside the graph."""
        producer, node, home = after.producer(), result.producer(), graph or _graph(after)
        if node is None:
            raise ValueError(f"no node computes {result.name}")
        if producer is not None and producer.graph is home:
            home.insert_after(producer, [node])
        else:
            home.insert_before(home[0], [node])

    def _free(self, name: str) -> str:
        free, number = name, 1
        while free in self._names:
            free, number = f"{name}_{number}", number + 1
        self._names.add(free)
        return free


def _graph(part: ir.Value | ir.Node) -> ir.Graph:
    import onnx_ir as ir

    if not isinstance(part.graph, ir.Graph):
        raise ValueError(f"{part.name} belongs to no graph")  # noqa: TRY004  # a caller's mistake, not a wrong type
    return part.graph
