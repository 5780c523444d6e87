"""Counts what really runs in int8: after ONNX Runtime's own optimiser, not in the graph that we wrote."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from optkit.graph.load import load_model
from optkit.graph.session import open_graph

if TYPE_CHECKING:
    from pathlib import Path

_INT8 = {
    "ConvInteger": "Conv",
    "DynamicQuantizeLSTM": "LSTM",
    "DynamicQuantizeMatMul": "MatMul",
    "MatMulInteger": "MatMul",
    "MatMulIntegerToFloat": "MatMul",
    "QGemm": "Gemm",
}
_FUSED = re.compile(r"^(Nhwc)?(Fused)?")
_LINEAR = re.compile(r"^QLinear")
_WORK = frozenset(
    {"Conv", "ConvTranspose", "MatMul", "Gemm", "Add", "Mul", "LSTM", "GRU", "AveragePool", "GlobalAveragePool",
     "LeakyRelu", "Sigmoid", "Concat", "Softmax"}
)  # fmt: skip


def count_int8(path: Path, scratch: Path) -> dict[str, tuple[int, int]]:
    """Returns operator → (nodes that run in int8, all nodes), for operators that compute.

    Args:
        path: The quantized ONNX file.
        scratch: A folder for the optimised graph.

    Raises:
        StepFailed: ONNX Runtime refuses the graph.
    """
    optimized = scratch / "optimized.onnx"
    open_graph(path, save_optimized=optimized)
    return count_operators([node.op_type for node in load_model(optimized).graph.all_nodes()])


def count_operators(op_types: list[str]) -> dict[str, tuple[int, int]]:
    """Returns operator → (int8, all) from the operator types of an optimised graph."""
    int8 = Counter(_plain(op) for op in op_types if _is_int8(op))
    total = Counter(_plain(op) for op in op_types)
    return {op: (int8[op], total[op]) for op in sorted(total) if op in _WORK}


def _is_int8(op: str) -> bool:
    return op in _INT8 or bool(_LINEAR.match(op))


def _plain(op: str) -> str:
    return _INT8.get(op) or _FUSED.sub("", _LINEAR.sub("", op))
