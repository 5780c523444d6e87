"""Counts what OpenVINO really runs in int8: in the graph that it executes, not in the one that it was given."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from optkit.core.errors import StepFailed
from optkit.runtimes.openvino_cpu import compile_model, short_message

if TYPE_CHECKING:
    from pathlib import Path

_OPERATORS = {
    "Convolution": "Conv",
    "Deconvolution": "ConvTranspose",
    "FullyConnected": "MatMul",
    "MatMul": "MatMul",
    "Pooling": "Pool",
}
"""Layers that compute, by the operator that they stand for; sums and clamps are mostly fused into them."""
_INT8 = frozenset({"i8", "u8"})


def count_int8(path: Path) -> dict[str, tuple[int, int]]:
    """Returns operator → (nodes that run in int8, all nodes), for operators that compute.

    Args:
        path: The quantized ONNX file.

    Raises:
        MissingDependency: openvino is not installed.
        StepFailed: OpenVINO refuses the graph.
    """
    try:
        nodes = compile_model(path, 1).get_runtime_model().get_ops()
    except RuntimeError as error:
        raise StepFailed(f"openvino does not show what it runs: {short_message(error)}") from error
    layers = [(_text(node, "layerType"), _text(node, "runtimePrecision")) for node in nodes]
    total = Counter(_OPERATORS[layer] for layer, _ in layers if layer in _OPERATORS)
    int8 = Counter(_OPERATORS[layer] for layer, precision in layers if layer in _OPERATORS and precision in _INT8)
    return {operator: (int8[operator], total[operator]) for operator in sorted(total)}


def _text(node: Any, key: str) -> str:  # noqa: ANN401  # openvino is an extra: its types are not checked
    info = node.get_rt_info()
    return str(info[key].astype(str)) if key in info else ""
