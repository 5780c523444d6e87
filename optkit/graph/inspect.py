"""Facts about a graph: operators, weights, precision."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from optkit.graph.describe import describe
from optkit.graph.walk import initializers, nodes

if TYPE_CHECKING:
    import onnx_ir as ir

    from optkit.core.interface import Interface

_QUANTIZED = frozenset({"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"})
_LARGEST = 5


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a graph is made of.

    Attributes:
        interface: Inputs, outputs and dynamic dimensions.
        opsets: Domain → version.
        operators: Operator → count, the most frequent first; subgraphs included.
        parameters: Elements of all weights.
        weight_bytes: Bytes of all weights.
        weight_types: Element type → bytes.
        largest: The largest weights, name → bytes.
        quantized: Whether it holds quantization operators or integer kernels.
    """

    interface: Interface
    opsets: dict[str, int]
    operators: dict[str, int]
    parameters: int
    weight_bytes: int
    weight_types: dict[str, int]
    largest: dict[str, int]
    quantized: bool


def inspect_graph(model: ir.Model) -> Inspection:
    """Returns the facts about a loaded model."""
    operators = Counter(node.op_type for node in nodes(model))
    tensors = [tensor for _, tensor in initializers(model)]
    by_type: Counter[str] = Counter()
    for tensor in tensors:
        by_type[tensor.dtype.name.lower()] += tensor.nbytes
    largest = sorted(((tensor.name or "", tensor.nbytes) for tensor in tensors), key=lambda item: -item[1])
    return Inspection(
        interface=describe(model),
        opsets={domain or "ai.onnx": version for domain, version in sorted(model.opset_imports.items())},
        operators=dict(operators.most_common()),
        parameters=sum(tensor.size for tensor in tensors),
        weight_bytes=sum(tensor.nbytes for tensor in tensors),
        weight_types=dict(by_type.most_common()),
        largest=dict(largest[:_LARGEST]),
        quantized=any(
            name in _QUANTIZED or name.startswith(("QLinear", "QGemm", "MatMulInteger")) for name in operators
        ),
    )
