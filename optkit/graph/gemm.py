"""Splits Gemm into MatMul and Add, and merges them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optkit.graph.walk import is_standard

if TYPE_CHECKING:
    import onnx_ir as ir

_MATRIX_AXES = 2


def split_gemm(model: ir.Model) -> int:
    """Replaces each Gemm with a constant matrix by MatMul and Add, in place; returns how many.

    Dynamic quantization knows MatMul only, and ONNX Runtime's own replacement gets square matrices wrong.
    """
    import onnx_ir as ir

    found = [node for node in model.graph.all_nodes() if is_standard(node, "Gemm")]
    plain = [node for node in found if _is_plain(node)]
    for node in plain:
        if isinstance(node.graph, ir.Graph):
            _split(node.graph, node)
    return len(plain)


def merge_gemm(model: ir.Model) -> int:
    """Replaces each product of matrices that is only read by an Add, by Gemm, in place; returns how many.

    A constant vector that is added becomes the bias. ONNX Runtime merges them too, but keeps a bias in float, where its
    integer kernel wants int32. Ranks must be known.
    """
    products = [node for node in model.graph.all_nodes() if _is_matrix_product(node)]
    found = [(node, add) for node in products if (add := _only_reader(node)) is not None]
    for node, add in found:
        _merge(node, add)
    return len(found)


def _is_matrix_product(node: ir.Node) -> bool:
    if not is_standard(node, "MatMul"):
        return False
    shapes = [value.shape for value in node.inputs if value is not None]
    return (
        node.inputs[1] is not None
        and node.inputs[1].const_value is not None
        and all(shape is not None and len(shape) == _MATRIX_AXES for shape in shapes)
    )


def _only_reader(node: ir.Node) -> ir.Node | None:
    """Returns the Add in the same graph that is all that reads the node."""
    result = node.outputs[0]
    readers = [reader for reader, _ in result.uses()]
    if len(readers) != 1 or result.is_graph_output():
        return None
    (reader,) = readers
    is_add = is_standard(reader, "Add") and reader.graph is node.graph
    return reader if is_add else None


def _merge(node: ir.Node, add: ir.Node) -> None:
    import onnx_ir as ir
    from onnx_ir import convenience

    graph, (data, weight) = node.graph, node.inputs
    if weight is None or weight.shape is None or not isinstance(graph, ir.Graph):
        return
    other = add.inputs[1] if add.inputs[0] is node.outputs[0] else add.inputs[0]
    has_bias = other is not None and other.const_value is not None and other.shape == ir.Shape([weight.shape[1]])
    replaced = [node, add] if has_bias else [node]
    last = replaced[-1].outputs[0]
    gemm = ir.node(
        "Gemm", [data, weight, other] if has_bias else [data, weight], name=node.name,
        metadata_props=dict(node.metadata_props),
    )  # fmt: skip
    result = gemm.outputs[0]
    result.name, result.type, result.shape = last.name, last.type, last.shape
    convenience.replace_nodes_and_values(graph, add if has_bias else node, replaced, [gemm], [last], [result])


def _is_plain(node: ir.Node) -> bool:
    weight = node.inputs[1]
    get = node.attributes.get_float
    return (
        weight is not None
        and weight.const_value is not None
        and get("alpha", 1.0) == 1.0
        and get("beta", 1.0) == 1.0
        and node.attributes.get_int("transA", 0) == 0
    )


def _split(graph: ir.Graph, node: ir.Node) -> None:
    import onnx_ir as ir
    from onnx_ir import convenience

    data, weight, result = node.inputs[0], node.inputs[1], node.outputs[0]
    bias = node.inputs[2] if len(node.inputs) > 2 else None  # noqa: PLR2004  # C is optional
    is_transposed = node.attributes.get_int("transB", 0) == 1
    matrix = _transposed(graph, weight) if weight is not None and is_transposed else weight
    name = node.name or result.name
    nodes = [ir.node("MatMul", [data, matrix], name=f"{name}_matmul", metadata_props=dict(node.metadata_props))]
    if bias is not None:
        product = nodes[0].outputs[0]
        product.name, product.type, product.shape = f"{result.name}_product", result.type, result.shape
        nodes.append(ir.node("Add", [product, bias], name=f"{name}_add", metadata_props=dict(node.metadata_props)))
    final = nodes[-1].outputs[0]
    final.name, final.type, final.shape = result.name, result.type, result.shape
    convenience.replace_nodes_and_values(graph, node, [node], nodes, [result], [final])


def _transposed(graph: ir.Graph, weight: ir.Value) -> ir.Value:
    import numpy as np
    import onnx_ir as ir

    name = f"{weight.name}_transposed"
    tensor = weight.const_value
    if name not in graph.initializers and tensor is not None:
        array = np.ascontiguousarray(tensor.numpy().T)
        value = ir.Value(name=name, const_value=ir.Tensor(array, name=name), shape=ir.Shape(array.shape))
        value.type = ir.TensorType(tensor.dtype)
        graph.register_initializer(value)
    return graph.initializers[name]
