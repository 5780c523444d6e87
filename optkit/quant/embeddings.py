"""Finds embedding tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx_ir as ir
    from numpy.typing import NDArray


def find_embeddings(model: ir.Model, block: int) -> Iterator[tuple[ir.Node, NDArray[Any]]]:
    """Yields each Gather of rows of a constant float32 matrix that nothing else reads, and the matrix.

    Args:
        model: The graph; a node may be replaced before the next one is asked for.
        block: Rows must hold a multiple of it: the packed table has no room for a remainder.
    """
    for node in list(model.graph.all_nodes()):
        table = node.inputs[0] if node.op_type == "Gather" and node.domain in {"", "ai.onnx"} else None
        if table is None or table.const_value is None or len(table.uses()) > 1:
            continue
        tensor = table.const_value
        shape = tensor.shape.numpy()
        if len(shape) == 2 and shape[1] % block == 0 and tensor.dtype.name == "FLOAT" and _axis(node) == 0:  # noqa: PLR2004  # rows and columns
            yield node, tensor.numpy()


def _axis(node: ir.Node) -> int:
    return node.attributes.get_int("axis", 0)
