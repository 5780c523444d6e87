"""Merges weights that hold the same bytes."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from optkit.graph.simplify.constants import constant

if TYPE_CHECKING:
    import onnx_ir as ir
    from numpy.typing import NDArray

_SAMPLE = 1 << 12
"""Elements at each end that tell most tensors apart: of large mapped ones nothing else is read."""


def merge_duplicates(model: ir.Model) -> None:
    """Lets the first of equal weights of a graph stand for all of them, in place."""
    for graph in model.graphs():
        seen: dict[tuple[object, ...], list[ir.Value]] = {}
        for value in list(graph.initializers.values()):
            tensor = constant(value)
            if tensor is None or tensor.dtype.name == "STRING" or value.is_graph_output():
                continue
            alike = seen.setdefault(_key(tensor), [])
            first = next((other for other in alike if _equal(constant(other), tensor)), None)
            if first is None:
                alike.append(value)
                continue
            value.replace_all_uses_with(first)
            graph.initializers.pop(value.name or "")


def _key(tensor: ir.TensorProtocol) -> tuple[object, ...]:
    flat = _flat(tensor)
    ends = hashlib.sha256(flat[:_SAMPLE].tobytes() + flat[-_SAMPLE:].tobytes()).digest()
    return tensor.dtype, tuple(tensor.shape.numpy()), ends


def _equal(a: ir.TensorProtocol | None, b: ir.TensorProtocol) -> bool:
    import numpy as np

    if a is None:
        return False
    if a.size <= _SAMPLE:
        return True  # the key holds all of it
    width = f"u{a.numpy().dtype.itemsize}"
    if width == "u16":  # complex128
        width = "u8"
    return bool(np.array_equal(_flat(a).view(width), _flat(b).view(width)))


def _flat(tensor: ir.TensorProtocol) -> NDArray[Any]:
    flat: NDArray[Any] = tensor.numpy().reshape(-1)
    return flat
