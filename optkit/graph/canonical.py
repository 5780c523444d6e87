"""Brings operators that mean the same into the one form that quantization knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optkit.graph.fuse.match import reduced_axes
from optkit.graph.walk import is_standard

if TYPE_CHECKING:
    import onnx_ir as ir

_SPATIAL = 2
"""Index of the first spatial axis, behind samples and channels."""


def fold_into_convolutions(model: ir.Model) -> None:
    """Folds padding by zeros, and BatchNormalization, into convolutions (the latter into Gemm too), in place."""
    from onnxscript.rewriter import rewrite
    from onnxscript.rewriter.rules.common import _fuse_batchnorm, _fuse_pad_into_conv

    foldable = {"Pad", "BatchNormalization"}
    if any(node.op_type in foldable for node in model.graph.all_nodes()):
        rewrite(model, [_fuse_pad_into_conv.fuse_pad_into_conv_rule, *_fuse_batchnorm.rules])


def pool_globally(model: ir.Model) -> int:
    """Replaces means over all spatial axes by GlobalAveragePool, in place; returns how many.

    Integer kernels exist for pooling, and not for ReduceMean. Ranks must be known.
    """
    found = [node for node in model.graph.all_nodes() if is_standard(node, "ReduceMean")]
    means = [node for node in found if _is_over_space(node)]
    for node in means:
        _pool(node)
    return len(means)


def _is_over_space(node: ir.Node) -> bool:
    data = node.inputs[0]
    if data is None or data.shape is None or data.dtype is None or not data.dtype.is_floating_point():
        return False
    rank = len(data.shape)
    axes = sorted(axis % rank for axis in reduced_axes(node)) if rank else []
    return rank > _SPATIAL and axes == list(range(_SPATIAL, rank))


def _pool(node: ir.Node) -> None:
    import numpy as np
    import onnx_ir as ir
    from onnx_ir import convenience

    graph, data, result = node.graph, node.inputs[0], node.outputs[0]
    if data is None or data.shape is None or not isinstance(graph, ir.Graph):
        return
    props = dict(node.metadata_props)
    nodes = [ir.node("GlobalAveragePool", [data], name=node.name, metadata_props=props)]
    if node.attributes.get_int("keepdims", 1) == 0:
        pooled = nodes[0].outputs[0]
        pooled.name, pooled.type = f"{result.name}_pooled", result.type
        array = np.arange(_SPATIAL, len(data.shape), dtype=np.int64)
        axes = ir.val(f"{result.name}_axes", const_value=ir.tensor(array, name=f"{result.name}_axes"))
        graph.register_initializer(axes)
        nodes.append(ir.node("Squeeze", [pooled, axes], name=f"{node.name}_squeeze", metadata_props=props))
    final = nodes[-1].outputs[0]
    final.name, final.type, final.shape = result.name, result.type, result.shape
    convenience.replace_nodes_and_values(graph, node, [node], nodes, [result], [final])
