from __future__ import annotations

from optkit.quant.int8_nodes import count_operators


def test_int8_kernels_count_under_the_operator_that_they_replace() -> None:
    found = ["QLinearConv", "FusedConv", "NhwcFusedConv", "MatMulIntegerToFloat", "MatMul", "QGemm", "Reshape"]
    assert count_operators(found) == {"Conv": (1, 3), "Gemm": (1, 1), "MatMul": (1, 2)}


def test_data_movement_is_not_work() -> None:
    assert count_operators(["QuantizeLinear", "DequantizeLinear", "Transpose"]) == {}
