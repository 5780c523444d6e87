from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import numpy_helper, parser

from optkit.runtimes.openvino_nodes import count_int8

if TYPE_CHECKING:
    from pathlib import Path

FLOAT = """\
net (float[N,4,8,8] x) => (float[N,4,8,8] y)
{ a = Conv(x, w) y = Relu(a) }"""
INT8 = """\
net (float[N,4,8,8] x) => (float[N,4,8,8] y)
<float scale = {0.05}, uint8 zero = {128}, float[4] fine = {0.01, 0.01, 0.01, 0.01}, int8[4] none = {0, 0, 0, 0}>
{
    q = QuantizeLinear(x, scale, zero)
    d = DequantizeLinear(q, scale, zero)
    v = DequantizeLinear<axis = 0>(c, fine, none)
    a = Conv(d, v)
    y = Relu(a)
}"""


def saved(folder: Path, text: str) -> Path:
    model = parser.parse_model(f'<ir_version: 10, opset_import: ["" : 17]>\n{text}')
    codes = np.random.default_rng(0).integers(-64, 65, (4, 4, 1, 1)).astype(np.int8)
    model.graph.initializer.append(numpy_helper.from_array(codes, "c"))
    model.graph.initializer.append(numpy_helper.from_array(codes.astype(np.float32), "w"))
    onnx.save(model, folder / "model.onnx")
    return folder / "model.onnx"


@pytest.mark.parametrize(("text", "expected"), [(FLOAT, {"Conv": (0, 1)}), (INT8, {"Conv": (1, 1)})])
def test_what_is_executed_counts(text: str, expected: dict[str, tuple[int, int]], tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    assert count_int8(saved(tmp_path, text)) == expected
