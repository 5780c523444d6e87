"""Merges matrix products that read one tensor into one product and a Split: Q, K and V of attention, for instance.

The tensor is then quantized and read once, and one large product keeps more threads busy than three small ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optkit.graph.fuse.match import Unmatched, near_miss
from optkit.graph.walk import is_standard

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import onnx_ir as ir
    from numpy.typing import NDArray

    from optkit.graph.fuse.match import NearMiss

PATTERN = "products of one tensor"
_MATRIX_AXES = 2
_BIAS = 2
_NO_PARTNER = "the others of its tensor are of another operator, layout or type, or only one of them has a bias"
_MIN_OPSET = 13
"""Split takes its sizes as an input from here on."""


@dataclass(frozen=True, slots=True)
class _Product:
    """A MatMul or Gemm with a constant matrix, and the Add of a constant vector behind it.

    Attributes:
        node: The MatMul or Gemm.
        add: The Add, if that is all that reads the MatMul.
        weight: The matrix.
        bias: The vector, as the Gemm or the Add reads it; or None.
        axis: Of the matrix, along which its outputs lie.
        width: Number of outputs.
    """

    node: ir.Node
    add: ir.Node | None
    weight: ir.Value
    bias: ir.Value | None
    axis: int
    width: int

    @property
    def last(self) -> ir.Node:
        """The node whose result the rest of the graph reads."""
        return self.add or self.node


def merge_products(model: ir.Model) -> tuple[list[list[str]], list[NearMiss]]:
    """Merges products of one tensor with constant matrices, in place; widths may differ.

    Returns:
        The names of the nodes that became one, by group, and the products that stay apart from others of their tensor.
    """
    merged: list[list[str]] = []
    missed: list[NearMiss] = []
    if model.opset_imports.get("", 0) < _MIN_OPSET:
        return merged, missed
    for nodes in _with_one_input(model):
        groups: dict[tuple[object, ...], list[_Product]] = {}
        for node in nodes:
            try:
                product = _product(node)
                groups.setdefault(_key(product), []).append(product)
            except Unmatched as error:
                missed.append(near_miss(PATTERN, node, error))
        for group in groups.values():
            if len(group) == 1:
                missed.append(near_miss(PATTERN, group[0].node, Unmatched(_NO_PARTNER)))
                continue
            merged.append([product.node.name or "" for product in group])
            _merge(group)
    return merged, missed


def _with_one_input(model: ir.Model) -> Iterator[list[ir.Node]]:
    """Yields the products of a tensor with constant matrices, where there are several."""
    groups: dict[tuple[object, int], list[ir.Node]] = {}
    for node in model.graph.all_nodes():
        if _is_product(node):
            groups.setdefault((node.inputs[0], id(node.graph)), []).append(node)
    return (nodes for nodes in groups.values() if len(nodes) > 1)


def _is_product(node: ir.Node) -> bool:
    if not is_standard(node, "Gemm", "MatMul") or len(node.inputs) <= 1:
        return False
    data, weight = node.inputs[0], node.inputs[1]
    return data is not None and data.const_value is None and weight is not None and _is_constant(weight, _MATRIX_AXES)


def _key(product: _Product) -> tuple[object, ...]:
    """Returns what the products of a group have in common besides their tensor."""
    return product.node.op_type, product.axis, product.bias is None, product.weight.dtype


def _product(node: ir.Node) -> _Product:
    weight = node.inputs[1]
    assert weight is not None  # noqa: S101  # `_is_product` made sure
    if not _has_one_reader(weight):
        raise Unmatched("its matrix is read elsewhere, too, and would be stored twice")
    if node.op_type == "Gemm":
        return _gemm(node, weight)
    width = _size(weight, 1)
    add, bias = _added(node, width)
    return _Product(node, add, weight, bias, 1, width)


def _gemm(node: ir.Node, weight: ir.Value) -> _Product:
    attributes = node.attributes
    axis = 0 if attributes.get_int("transB", 0) == 1 else 1
    bias = node.inputs[_BIAS] if len(node.inputs) > _BIAS else None
    width = _size(weight, axis)
    is_plain = attributes.get_float("alpha", 1.0) == attributes.get_float("beta", 1.0) == 1.0
    if not is_plain or attributes.get_int("transA", 0) == 1:
        raise Unmatched("it scales its result, or transposes what it reads")
    if bias is not None and not _is_vector(bias, width):
        raise Unmatched("its bias is no constant vector of its own")
    return _Product(node, None, weight, bias, axis, width)


def _added(node: ir.Node, width: int) -> tuple[ir.Node | None, ir.Value | None]:
    """Returns the Add that is all that reads the node, and the vector that it adds."""
    result = node.outputs[0]
    readers = list(result.uses())
    if len(readers) != 1 or result.is_graph_output():
        return None, None
    add, index = readers[0]
    if not is_standard(add, "Add") or add.graph is not node.graph:
        return None, None
    bias = add.inputs[1 - index]
    return (add, bias) if bias is not None and _is_vector(bias, width) else (None, None)


def _is_vector(value: ir.Value, width: int) -> bool:
    """Whether the value is a constant vector of that size, which one node reads."""
    return _is_constant(value, 1) and _size(value, 0) == width and _has_one_reader(value)


def _is_constant(value: ir.Value, axes: int) -> bool:
    """Whether the value always holds one tensor of so many axes: a graph's input may hold another in each run."""
    return value.const_value is not None and not value.is_graph_input() and len(value.const_value.shape) == axes


def _has_one_reader(value: ir.Value) -> bool:
    return len(value.uses()) == 1 and not value.is_graph_output()


def _size(value: ir.Value, axis: int) -> int:
    assert value.const_value is not None  # noqa: S101  # checked by `_is_constant`
    return int(value.const_value.shape.numpy()[axis])


def _merge(group: Sequence[_Product]) -> None:
    import numpy as np
    import onnx_ir as ir

    first = group[0]
    graph, node = first.node.graph, first.node
    if not isinstance(graph, ir.Graph):
        return
    name, widths = f"{node.name}_merged", [product.width for product in group]
    weight = _joined(graph, [product.weight for product in group], first.axis, f"{name}_weight")
    biases = [product.bias for product in group if product.bias is not None]
    bias = _joined(graph, biases, 0, f"{name}_bias") if biases else None
    in_gemm = bias is not None and first.add is None
    inputs = [node.inputs[0], weight, bias] if in_gemm else [node.inputs[0], weight]
    made = [ir.node(node.op_type, inputs, dict(node.attributes), name=name, metadata_props=dict(node.metadata_props))]
    _describe(made[0].outputs[0], f"{name}_result", node.outputs[0], sum(widths))
    if bias is not None and not in_gemm:
        made.append(ir.node("Add", [made[0].outputs[0], bias], name=f"{name}_add"))
        _describe(made[1].outputs[0], f"{name}_sum", node.outputs[0], sum(widths))
    sizes = _constant(graph, np.array(widths, np.int64), f"{name}_widths")
    split = ir.node(
        "Split", [made[-1].outputs[0], sizes], {"axis": -1}, num_outputs=len(group), name=f"{name}_split"
    )  # fmt: skip
    graph.insert_before(node, [*made, split])
    for product, new in zip(group, split.outputs, strict=True):
        _take_over(graph, product, new)


def _take_over(graph: ir.Graph, product: _Product, new: ir.Value) -> None:
    from onnx_ir import convenience

    old = product.last.outputs[0]
    new.name, new.type, new.shape = old.name, old.type, old.shape
    convenience.replace_all_uses_with(old, new, replace_graph_outputs=True)
    graph.remove([node for node in (product.add, product.node) if node is not None], safe=True)
    for value in (product.weight, product.bias):
        if value is not None:
            graph.initializers.pop(value.name or "", None)


def _joined(graph: ir.Graph, values: Sequence[ir.Value], axis: int, name: str) -> ir.Value:
    import numpy as np

    arrays = [value.const_value.numpy() for value in values if value.const_value is not None]
    return _constant(graph, np.concatenate(arrays, axis), name)


def _constant(graph: ir.Graph, array: NDArray[Any], name: str) -> ir.Value:
    import onnx_ir as ir

    tensor = ir.tensor(array, name=name)
    value = ir.Value(name=name, const_value=tensor, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype))
    graph.register_initializer(value)
    return value


def _describe(value: ir.Value, name: str, like: ir.Value, width: int) -> None:
    import onnx_ir as ir

    value.name, value.type = name, like.type
    if like.shape is not None:
        value.shape = ir.Shape([*like.shape[:-1], width])
