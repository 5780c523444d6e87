"""Writes matrices in blocks into a graph: as ONNX Runtime's MatMulNBits, or as a blocked DequantizeLinear."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from optkit.quant.blocks import pack_nibbles

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx_ir as ir
    from numpy.typing import NDArray

    from optkit.graph.matrices import Matrix
    from optkit.quant.blocks import Blocks

CONTRIB = "com.microsoft"
BLOCKED_OPSET = 21
"""DequantizeLinear has blocks, and tensors have 4 bits, from here on."""
_INT8_PRODUCTS = 4  # ONNX Runtime's accuracy_level


def write_matmulnbits(matrix: Matrix, blocks: Blocks, *, int8_products: bool) -> None:
    """Replaces a product by MatMulNBits (and an Add, for a Gemm with a bias), in place.

    The operator: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.MatMulNBits

    Args:
        matrix: The product.
        blocks: Its weight.
        int8_products: Whether the runtime may round activations to int8, block by block, which is faster.
    """
    import onnx_ir as ir

    node, graph = matrix.node, _graph(matrix.node)
    depth, width = matrix.shape
    form = blocks.form
    names = _names(_base(matrix), form.bits)
    tensors = [_initializer(graph, names[key], array) for key, array in _contrib_tensors(blocks).items()]
    attributes: dict[str, Any] = {"K": depth, "N": width, "bits": form.bits, "block_size": form.block}
    if int8_products:
        attributes["accuracy_level"] = _INT8_PRODUCTS
    product = ir.node("MatMulNBits", [node.inputs[0], *tensors], attributes, domain=CONTRIB, name=node.name)
    _replace(graph, node, product)


def write_dequantized(matrix: Matrix, blocks: Blocks) -> None:
    """Puts a blocked DequantizeLinear in front of a product, in place; the graph needs operator set 21.

    The operator: https://onnx.ai/onnx/operators/onnx__DequantizeLinear.html
    """
    import onnx_ir as ir

    node, graph, form = matrix.node, _graph(matrix.node), blocks.form
    # A Gemm keeps the layout of its weight; a product behind a Transpose takes the weight as the Transpose gave it.
    stored_transposed = node.op_type == "Gemm" and node.attributes.get_int("transB", 0) == 1
    names = _names(_base(matrix), form.bits)

    def laid_out(array: NDArray[Any]) -> NDArray[Any]:
        return array.T if stored_transposed else array

    inputs = [
        _initializer(graph, names["weight"], _codes(laid_out(blocks.codes), form.bits, signed=form.symmetric)),
        _initializer(graph, names["scales"], laid_out(blocks.scales)),
    ]
    if not form.symmetric:
        inputs.append(_initializer(graph, names["zeros"], _codes(laid_out(blocks.zeros), form.bits, signed=False)))
    attributes = {"axis": 1 if stored_transposed else 0, "block_size": form.block}
    dequantize = ir.node("DequantizeLinear", inputs, attributes, name=f"{node.name}_dequantize")
    value = dequantize.outputs[0]
    value.name = f"{names['weight']}_dequantized"
    value.type = matrix.weight.type
    graph.insert_before(node, dequantize)
    node.replace_input_with(1, value)


def write_embedding(node: ir.Node, blocks: Blocks) -> None:
    """Replaces a Gather of rows [N, K] by ONNX Runtime's GatherBlockQuantized, in place.

    Args:
        node: A Gather on axis 0 of a constant matrix.
        blocks: The transposed matrix, [K, N]: blocks run along a row that is gathered.
    """
    import onnx_ir as ir

    table, indices, graph, form = node.inputs[0], node.inputs[1], _graph(node), blocks.form
    assert table is not None  # noqa: S101  # a Gather has both inputs
    names = _names(table.name or "", form.bits)
    tensors = {"weight": blocks.codes.T, "scales": blocks.scales.T, "zeros": blocks.zeros.T}
    packed = {key: _bytes(array, form.bits) if key != "scales" else array for key, array in tensors.items()}
    if form.symmetric:
        del packed["zeros"]
    inputs = {key: _initializer(graph, names[key], array) for key, array in packed.items()}
    attributes = {"bits": form.bits, "block_size": form.block, "gather_axis": 0, "quantize_axis": 1}
    gather = ir.node(
        "GatherBlockQuantized", [inputs.pop("weight"), indices, *inputs.values()], attributes,
        domain=CONTRIB, name=node.name,
    )  # fmt: skip
    _replace(graph, node, gather)


def _contrib_tensors(blocks: Blocks) -> dict[str, NDArray[Any]]:
    """Returns codes [N, blocks, bytes], scales [N, blocks] and, where blocks have them, zero points."""
    import numpy as np

    form, count = blocks.form, len(blocks.scales)
    fill = count * form.block - len(blocks.codes)
    codes = np.pad(blocks.codes, ((0, fill), (0, 0)), constant_values=form.middle).T
    tensors = {
        "weight": _bytes(codes.reshape(len(codes), count, form.block), form.bits),
        "scales": blocks.scales.T,
    }
    if not form.symmetric:
        tensors["zeros"] = _bytes(blocks.zeros.T, form.bits)
    return tensors


def _bytes(codes: NDArray[Any], bits: int) -> NDArray[Any]:
    return pack_nibbles(codes) if bits == 4 else codes  # noqa: PLR2004  # two to a byte


def _codes(codes: NDArray[Any], bits: int, *, signed: bool) -> ir.TensorProtocol:
    """Returns codes as a tensor of ONNX's 4- or 8-bit integers; signed ones have the middle code at 0."""
    import numpy as np
    import onnx_ir as ir

    # In two's complement, subtracting the middle flips the highest bit.
    flipped = np.ascontiguousarray(codes ^ (1 << (bits - 1)) if signed else codes)
    if bits == 8:  # noqa: PLR2004  # a byte each
        return ir.Tensor(flipped.view(np.int8) if signed else flipped)
    kind = ir.DataType.INT4 if signed else ir.DataType.UINT4
    return ir.PackedTensor(pack_nibbles(flipped.reshape(-1)), kind, shape=ir.Shape(codes.shape))


def _names(base: str, bits: int) -> Mapping[str, str]:
    return {"weight": f"{base}_q{bits}", "scales": f"{base}_scales", "zeros": f"{base}_zeros"}


def _base(matrix: Matrix) -> str:
    """Two products may read a weight each in its own layout."""
    return f"{matrix.weight.name}{'_transposed' if matrix.transposed else ''}"


def _initializer(graph: ir.Graph, name: str, data: NDArray[Any] | ir.TensorProtocol) -> ir.Value:
    """Returns the initializer of that name, made if two products that share a weight did not make it before."""
    import numpy as np
    import onnx_ir as ir

    if name not in graph.initializers:
        tensor = ir.Tensor(np.ascontiguousarray(data)) if isinstance(data, np.ndarray) else data
        tensor.name = name
        value = ir.Value(
            name=name, const_value=tensor, shape=ir.Shape(tensor.shape.numpy()), type=ir.TensorType(tensor.dtype)
        )
        graph.register_initializer(value)
    return graph.initializers[name]


def _replace(graph: ir.Graph, node: ir.Node, product: ir.Node) -> None:
    import onnx_ir as ir
    from onnx_ir import convenience

    product.metadata_props.update(node.metadata_props)
    nodes, result = [product], node.outputs[0]
    bias = node.inputs[2] if node.op_type == "Gemm" and len(node.inputs) > 2 else None  # noqa: PLR2004  # C is optional
    if bias is not None:
        inner = product.outputs[0]
        inner.name, inner.type, inner.shape = f"{result.name}_product", result.type, result.shape
        nodes.append(ir.node("Add", [inner, bias], name=f"{node.name}_add", metadata_props=dict(node.metadata_props)))
    final = nodes[-1].outputs[0]
    final.name, final.type, final.shape = result.name, result.type, result.shape
    convenience.replace_nodes_and_values(graph, node, [node], nodes, [result], [final])


def _graph(node: ir.Node) -> ir.Graph:
    graph = node.graph
    if graph is None:
        raise ValueError(f"{node.name} belongs to no graph")
    return graph
