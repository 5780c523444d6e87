"""What it costs to leave a layer in float, per target: a table and a pure function."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class CostModel:
    """How a target gains by int8.

    Attributes:
        speedups: Operator → float time over int8 time of its products; others gain by their elements only.
        per_element: What an element read or written in float rather than int8 costs, in multiply-adds of a float
            product: it moves four times the bytes.
    """

    speedups: Mapping[str, float]
    per_element: float


# Medians over whole models, int8 against float32 in the same runtime: ResNet-50 2.4 to 3.0 and BERT 2.0 to 2.3 with
# ONNX Runtime; OpenVINO gains less over its own float, which is faster; tensor cores do int8 twice as fast as float16.
_CONVOLUTIONS, _PRODUCTS = ("Conv", "ConvTranspose"), ("Gemm", "MatMul", "LSTM")
COST_MODELS: Mapping[str, CostModel] = {
    "onnxruntime-cpu": CostModel(dict.fromkeys(_CONVOLUTIONS, 2.7) | dict.fromkeys(_PRODUCTS, 2.2), 16.0),
    "openvino-cpu": CostModel(dict.fromkeys(_CONVOLUTIONS, 2.0) | dict.fromkeys(_PRODUCTS, 2.0), 16.0),
    "tensorrt": CostModel(dict.fromkeys((*_CONVOLUTIONS, *_PRODUCTS), 2.0), 64.0),
    "tensorrt-rtx": CostModel(dict.fromkeys((*_CONVOLUTIONS, *_PRODUCTS), 2.0), 64.0),
}


def saving(model: CostModel, op_type: str, macs: int, elements: int) -> float:
    """Returns what running an operator in int8 saves, in multiply-adds of a float product; at least 1.

    Args:
        model: Of the target.
        op_type: The operator.
        macs: Multiply-adds of its products; 0 where it has none.
        elements: Elements that it reads and writes, weights aside.
    """
    return max(1.0, macs * (1 - 1 / model.speedups.get(op_type, 1.0)) + elements * model.per_element)
