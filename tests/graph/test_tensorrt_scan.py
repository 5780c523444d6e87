"""The glance at a file never says no where the rules find something that the parser misreads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx
import pytest

from optkit.graph.tensorrt_scan import may_be_misread
from tests.passes.engines import FLOAT, HALF, INT8, proto

if TYPE_CHECKING:
    from pathlib import Path

HEAD = "g (float[batch,16] x) => (float[batch,16] y)"
SCALED = f"{HEAD} <float s={{0.1}}, uint8 z={{0}}>"
BRANCH = (
    "g (float[batch,16] x, bool c) => (float[batch,16] y) {{ y = If(c)<then_branch = a () => (float[batch,16] p) "
    "{{ p = Relu(x) }}, else_branch = b () => (float[batch,16] q) {{ {} }}> }}"
)
SUSPECT = {
    "uint8 weight": f"{SCALED} {{ q = QuantizeLinear(x,s,z) y = DequantizeLinear(q,s,z) }}",
    "uint8 by default": f"{HEAD} <float s={{0.1}}> {{ q = QuantizeLinear(x,s) y = DequantizeLinear(q,s) }}",
    "uint8 by attribute": f"{HEAD} <float s={{0.1}}> {{ q = QuantizeLinear<output_dtype=2>(x,s) y = Cast<to=1>(q) }}",
    "uint8 cast": f"{HEAD} {{ u = Cast<to=2>(x) y = Cast<to=1>(u) }}",
    "uint8 constant": f"{HEAD} {{ u = Constant<value = uint8 {{1}}>() c = Cast<to=1>(u) y = Add(x,c) }}",
    "uint8 input": "g (uint8[batch,16] x) => (float[batch,16] y) { y = Cast<to=1>(x) }",
    "uint8 output": "g (float[batch,16] x) => (uint8[batch,16] y) { y = Cast<to=2>(x) }",
    "double input": "g (double[batch,16] x) => (float[batch,16] y) { y = Cast<to=1>(x) }",
    "double output": "g (float[batch,16] x) => (double[batch,16] y) { y = Cast<to=11>(x) }",
    "another domain": f"{HEAD} {{ y = com.microsoft.Attention(x) }}",
    "in a branch": BRANCH.format("u = Cast<to=2>(x) q = Cast<to=1>(u)"),
}
PLAIN = {
    "float": FLOAT,
    "half": HALF,
    "int8": INT8,
    "typed": f"{HEAD} <float s={{0.1}}> {{ q = QuantizeLinear<output_dtype=3>(x,s) y = DequantizeLinear(q,s) }}",
    "number 2": f"{HEAD} {{ y = LeakyRelu<alpha=2.0>(x) }}",
    "axis 2": "g (float[batch,1,16] x) => (float[batch,1,16] y) { y = Softmax<axis=2>(x) }",
    "in a branch": BRANCH.format("q = Abs(x)"),
}


def written(folder: Path, text: str) -> Path:
    onnx.save(proto(text, opset=21), folder / "model.onnx")
    return folder / "model.onnx"


@pytest.mark.parametrize("name", SUSPECT)
def test_what_may_be_misread(name: str, tmp_path: Path) -> None:
    assert may_be_misread(written(tmp_path, SUSPECT[name]))


@pytest.mark.parametrize("name", PLAIN)
def test_what_is_plain(name: str, tmp_path: Path) -> None:
    assert not may_be_misread(written(tmp_path, PLAIN[name]))


def test_functions_and_truncated_files_are_for_the_rules_to_judge(tmp_path: Path) -> None:
    model = proto(FLOAT)
    model.functions.append(onnx.helper.make_function("own", "F", ["a"], ["b"], [], []))
    onnx.save(model, tmp_path / "model.onnx")
    assert may_be_misread(tmp_path / "model.onnx")
    path = written(tmp_path, FLOAT)
    path.write_bytes(path.read_bytes()[:-3])
    assert may_be_misread(path)


def test_bodies_within_bodies_are_for_the_rules_to_judge(tmp_path: Path) -> None:
    graph = b""
    for _ in range(5000):  # a graph's node (1) has an attribute (5) that holds a graph (6)
        for field in (6, 5, 1):
            graph = bytes([field << 3 | 2]) + _varint(len(graph)) + graph
    (tmp_path / "model.onnx").write_bytes(bytes([7 << 3 | 2]) + _varint(len(graph)) + graph)
    assert may_be_misread(tmp_path / "model.onnx")


def _varint(value: int) -> bytes:
    low = [value >> shift & 0x7F for shift in range(0, max(1, value.bit_length()), 7)]
    return bytes([*(byte | 0x80 for byte in low[:-1]), low[-1]])
