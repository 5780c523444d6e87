"""Splits Gemm into MatMul and Add."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx_ir as ir


def split_gemm(model: ir.Model) -> int:
    """Replaces each Gemm with a constant matrix by MatMul and Add, in place; returns how many.

    Dynamic quantization knows MatMul only, and ONNX Runtime's own replacement gets square matrices wrong.
    """
    found = [node for node in model.graph if node.op_type == "Gemm" and node.domain in {"", "ai.onnx"}]
    plain = [node for node in found if _is_plain(node)]
    for node in plain:
        _split(model.graph, node)
    return len(plain)


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
