"""ResNet-50, thin: every convolution and every residual sum runs in int8, after the runtime's own optimiser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from optkit.graph.save import save_model
from optkit.quant.int8_nodes import count_int8

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx_ir as ir

    Bench = Any  # the class of conftest, which tests cannot import
    Graph = Callable[..., ir.Model]

WIDTH = 16
STAGES = ((1, 3), (2, 4), (4, 6), (8, 3))
CONVOLUTIONS, SUMS = 53, 16


class Builder:
    """Writes the graph down, layer by layer."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.weights: list[str] = []

    def conv(self, source: str, into: int, out: int, kernel: int = 1, stride: int = 1) -> str:
        name = f"c{len(self.weights)}"
        self.weights.append(f"float[{out},{into},{kernel},{kernel}] {name}_w, float[{out}] {name}_b")
        pad = kernel // 2
        self.lines.append(
            f"{name} = Conv<pads=[{pad},{pad},{pad},{pad}],strides=[{stride},{stride}]>({source}, {name}_w, {name}_b)"
        )
        return name

    def op(self, text: str, *sources: str) -> str:
        name = f"n{len(self.lines)}"
        self.lines.append(f"{name} = {text.format(*sources)}")
        return name

    def block(self, source: str, into: int, width: int, stride: int) -> str:
        first = self.op("Relu({})", self.conv(source, into, width))
        second = self.op("Relu({})", self.conv(first, width, width, 3, stride))
        third = self.conv(second, width, 4 * width)
        skip = source if into == 4 * width else self.conv(source, into, 4 * width, 1, stride)
        return self.op("Relu({})", self.op("Add({}, {})", third, skip))

    def text(self) -> str:
        value = self.op("Relu({})", self.conv("x", 3, WIDTH, 7, 2))
        value, into = self.op("MaxPool<kernel_shape=[3,3],pads=[1,1,1,1],strides=[2,2]>({})", value), WIDTH
        for factor, blocks in STAGES:
            for index in range(blocks):
                value = self.block(value, into, WIDTH * factor, 2 if index == 0 and factor > 1 else 1)
                into = 4 * WIDTH * factor
        self.op("ReduceMean<axes=[2,3],keepdims=0>({})", value)
        lines = "\n".join([*self.lines, f"y = Gemm<transB=1>(n{len(self.lines) - 1}, f, g)"])
        inputs = ", ".join(["float[N,3,64,64] x", *self.weights, f"float[20,{into}] f, float[20] g"])
        return f"net ({inputs}) => (float[N,20] y) {{ {lines} }}"


@pytest.fixture(scope="module")
def text() -> str:
    return Builder().text()


def source(value: ir.Value | None) -> str:
    """Returns the operator that computes a value."""
    producer = None if value is None else value.producer()
    return "" if producer is None else producer.op_type


def feeds() -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng(1).standard_normal((2, 3, 64, 64)).astype(np.float32)}


def test_onnxruntime_runs_all_of_it_in_int8(text: str, graph: Graph, bench: Bench) -> None:
    model = graph(text)
    quantized, folder = bench.quantize(model, feeds(), "onnxruntime-cpu"), bench.new()
    counts = count_int8(save_model(quantized, folder), folder)
    assert counts == {
        "Add": (SUMS, SUMS), "Conv": (CONVOLUTIONS, CONVOLUTIONS), "Gemm": (1, 1), "GlobalAveragePool": (1, 1),
    }  # fmt: skip
    assert bench.optimized(quantized).count("QuantizeLinear") == 1
    assert bench.sqnr(model, quantized, feeds()) > 25


def test_tensorrt_fuses_every_sum_with_a_convolution(text: str, graph: Graph, bench: Bench) -> None:
    model = graph(text)
    quantized = bench.quantize(model, feeds(), "tensorrt")
    nodes = [node for node in quantized.graph if node.op_type in {"Add", "Conv"}]
    inputs = {node: [source(value) for value in node.inputs[:2]] for node in nodes}
    convolutions = [kinds for node, kinds in inputs.items() if node.op_type == "Conv"]
    sums = [sorted(kinds) for node, kinds in inputs.items() if node.op_type == "Add"]
    assert convolutions.count(["DequantizeLinear"] * 2) == CONVOLUTIONS - 1  # the first one has three channels
    assert sums == [["Conv", "DequantizeLinear"]] * SUMS
    assert bench.sqnr(model, quantized, feeds()) > 25


def test_the_parser_of_tensorrt_accepts_it(text: str, graph: Graph, bench: Bench) -> None:
    trt = pytest.importorskip("tensorrt_rtx")
    path = save_model(bench.quantize(graph(text), feeds(), "tensorrt-rtx"), bench.new())
    log = trt.Logger(trt.Logger.ERROR)
    network = trt.Builder(log).create_network(0)
    parser = trt.OnnxParser(network, log)
    assert parser.parse_from_file(str(path)), [parser.get_error(i).desc() for i in range(parser.num_errors)]


def test_openvino_runs_all_of_it_in_int8(text: str, graph: Graph, bench: Bench) -> None:
    openvino = pytest.importorskip("openvino")
    path = save_model(bench.quantize(graph(text), feeds(), "openvino-cpu"), bench.new())
    compiled = openvino.Core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    infos = [node.get_rt_info() for node in compiled.get_runtime_model().get_ordered_ops()]
    kinds = [(info["layerType"].astype(str), info["runtimePrecision"].astype(str)) for info in infos]
    assert [precision for kind, precision in kinds if kind == "Convolution"] == ["u8"] * CONVOLUTIONS
    assert [precision for kind, precision in kinds if kind in {"Pooling", "Reduce", "FullyConnected"}] == ["u8"] * 3
