"""What the writer makes of small graphs, as ONNX Runtime sees it after its own optimiser."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir
import pytest

from optkit.quant.engine import Format, write_static
from optkit.quant.layout import calibrated_tensors
from optkit.quant.placement import place
from optkit.quant.profiles import PROFILES

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Bench = Any  # the class of conftest, which tests cannot import
    Graph = Callable[..., ir.Model]
    Inputs = Callable[..., dict[str, NDArray[Any]]]

CPU = "onnxruntime-cpu"
FULL = Format(per_channel=True, reduce_range=False)
RESIDUAL = """
net (float[N,16,8,8] x, float[32,16,3,3] w, float[32] wb, float[32,32,3,3] v, float[32] vb, float[10,32] f,
     float[10] fb) => (float[N,10] y)
{
  a = Conv<pads=[1,1,1,1]>(x, w, wb)
  b = Relu(a)
  p = MaxPool<kernel_shape=[2,2], strides=[2,2]>(b)
  c = Conv<pads=[1,1,1,1]>(p, v, vb)
  d = Add(c, p)
  e = Relu(d)
  g = GlobalAveragePool(e)
  h = Flatten(g)
  y = Gemm<transB=1>(h, f, fb)
}"""


def between(operators: str) -> str:
    return f"""
    net (float[N,8,8,8] x, float[16,8,3,3] w, float[16] wb, float[16,16,1,1] v, float[16] vb, float[16,8,3,3] u)
      => (float[N,16,A,B] y)
    {{
      a = Conv<pads=[1,1,1,1]>(x, w, wb)
      {operators}
      y = Conv(b, v, vb)
    }}"""


def test_a_residual_network_is_int8_from_end_to_end(bench: Bench, graph: Graph, xs: Inputs) -> None:
    model, feeds = graph(RESIDUAL), xs(4, 16, 8, 8)
    quantized = bench.quantize(model, feeds, CPU)
    assert bench.optimized(quantized) == [
        "QuantizeLinear", "QLinearConv", "MaxPool", "QLinearConv", "QLinearAdd", "QLinearGlobalAveragePool", "Flatten",
        "QGemm",
    ]  # fmt: skip
    assert bench.sqnr(model, quantized, feeds) > 35


@pytest.mark.parametrize("target", sorted(PROFILES))
@pytest.mark.parametrize("per_channel", [True, False])
def test_all_profiles_stay_close(target: str, *, per_channel: bool, bench: Bench, graph: Graph, xs: Inputs) -> None:
    model, feeds = graph(RESIDUAL), xs(4, 16, 8, 8)
    quantized = bench.quantize(model, feeds, target, Format(per_channel, reduce_range=True))
    assert bench.sqnr(model, quantized, feeds) > 30


@pytest.mark.parametrize(
    ("operators", "kernels"),
    [
        ("b = Relu(a)", []),
        ("b = MaxPool<kernel_shape=[2,2]>(a)", ["MaxPool"]),
        ("b = AveragePool<kernel_shape=[3,3],pads=[1,1,1,1]>(a)", ["QLinearAveragePool"]),
        ("lo = Constant<value_float=0.0>() hi = Constant<value_float=0.5>() b = Clip(a, lo, hi)", []),
        ("s = Constant<value_ints=[0,16,16,4]>() b = Reshape(a, s)", ["Reshape"]),
        ("b = Transpose<perm=[0,1,3,2]>(a)", ["Transpose"]),
        ("s = Constant<value_ints=[2]>() e = Constant<value_ints=[7]>() b = Slice(a, s, e, s)", ["Slice"]),
        ("l, r = Split<axis=1>(a) b = Concat<axis=1>(r, l)", ["Split", "QLinearConcat"]),
        ("i = Constant<value_ints=[2]>() j = Unsqueeze(a, i) b = Squeeze(j, i)", ["Unsqueeze", "Squeeze"]),
        ("s = Sigmoid(a) b = Mul(a, s)", ["QLinearSigmoid", "QLinearMul"]),
        ("b = LeakyRelu<alpha=0.1>(a)", ["QLinearLeakyRelu"]),
        ("c = Conv<pads=[1,1,1,1]>(x, u) b = Add(a, c)", ["QLinearConv", "QLinearAdd"]),
        ("g = GlobalAveragePool(a) b = Mul(a, g)", ["QLinearGlobalAveragePool", "QLinearMul"]),
        ("b = Identity(a)", []),
    ],
)  # fmt: skip
def test_what_lies_between_convolutions_runs_on_codes(
    operators: str, kernels: list[str], bench: Bench, graph: Graph, xs: Inputs
) -> None:
    model, feeds = graph(between(operators)), xs(2, 8, 8, 8)
    quantized = bench.quantize(model, feeds, CPU)
    ran = bench.optimized(quantized)
    assert sorted(ran) == sorted(["QuantizeLinear", "QLinearConv", *kernels, "QLinearConv", "DequantizeLinear"])
    assert bench.sqnr(model, quantized, feeds) > 33


def test_nearest_resize_runs_on_codes(bench: Bench, graph: Graph, xs: Inputs) -> None:
    sizes = 's = Constant<value_floats=[1.0,1.0,2.0,2.0]>() b = Resize<mode="nearest">(a, , s)'
    quantized = bench.quantize(graph(between(sizes)), xs(2, 8, 8, 8), CPU)
    assert "Resize" in (ran := bench.optimized(quantized))
    assert ran.count("DequantizeLinear") == 1


def test_other_readers_of_a_float_tensor_keep_the_floats(bench: Bench, graph: Graph, xs: Inputs) -> None:
    text = """
    net (float[N,16] x, float[16,16] w) => (float[N,16] y, float[N,16] z)
    {
      n = Tanh(x)
      m = MatMul(n, w)
      z = Identity(n)
      y = Add(m, n)
    }"""
    model, feeds = graph(text), xs(4, 16)
    quantized = bench.quantize(model, feeds, CPU)
    assert bench.optimized(quantized).count("QGemm") == 1
    assert np.array_equal(bench.run(model, feeds)["z"], bench.run(quantized, feeds)["z"])


def test_a_quantized_output_keeps_its_name_and_feeds_other_readers(bench: Bench, graph: Graph, xs: Inputs) -> None:
    text = """
    net (float[N,8,4,4] x, float[8,8,1,1] w) => (float[N,8,4,4] y, float[N,8,4,4] z)
    {
      y = Conv(x, w)
      z = Conv(y, w)
    }"""
    model, feeds = graph(text), xs(2, 8, 4, 4)
    quantized = bench.quantize(model, feeds, CPU)
    assert [value.name for value in quantized.graph.outputs] == ["y", "z"]
    assert bench.optimized(quantized).count("QLinearConv") == 2
    assert bench.sqnr(model, quantized, feeds) > 30
    assert len(quantized.graph.initializers) == 9  # three scales with zero points, and one weight


def test_weights_biases_and_activations_have_the_types_of_the_profile(bench: Bench, graph: Graph, xs: Inputs) -> None:
    for target, types in ((CPU, {"FLOAT", "INT8", "UINT8", "INT32"}), ("tensorrt", {"FLOAT", "INT8"})):
        quantized = bench.quantize(graph(RESIDUAL), xs(4, 16, 8, 8), target)
        tensors = quantized.graph.initializers.values()
        assert {value.dtype.name for value in tensors} == types
        axes = [node.attributes.get_int("axis", -9) for node in quantized.graph if node.op_type == "DequantizeLinear"]
        assert axes.count(0) == (6 if target == CPU else 2)  # weights and int32 biases; TensorRT leaves ten rows float


def test_transposed_convolutions_are_scaled_along_axis_one(bench: Bench, graph: Graph, xs: Inputs) -> None:
    text = """
    net (float[N,16,4,4] x, float[16,32,2,2] w) => (float[N,32,8,8] y)
    { y = ConvTranspose<strides=[2,2]>(x, w) }"""
    model, feeds = graph(text), xs(2, 16, 4, 4)
    quantized = bench.quantize(model, feeds, "tensorrt")
    node = next(node for node in quantized.graph if node.inputs[0] is not None and node.inputs[0].name == "w_quantized")
    assert node.attributes.get_int("axis", -9) == 1
    assert quantized.graph.initializers["w_scale"].shape == ir.Shape([32])
    assert bench.sqnr(model, quantized, feeds) > 35
    assert "ConvTranspose" in bench.optimized(bench.quantize(model, feeds, "openvino-cpu"))


def test_an_overflowing_bias_stays_right(bench: Bench, graph: Graph, xs: Inputs) -> None:
    weight = np.random.default_rng(0).standard_normal((8, 8, 1, 1)).astype(np.float32)
    weight[3] *= 1e-12
    text = "net (float[N,8,4,4] x, float[8,8,1,1] w, float[8] wb) => (float[N,8,4,4] y) { y = Conv(x, w, wb) }"
    model, feeds = graph(text, w=weight), xs(2, 8, 4, 4)
    quantized = bench.quantize(model, feeds, CPU)
    assert bench.optimized(quantized).count("QLinearConv") == 1
    assert bench.sqnr(model, quantized, feeds) > 30
    whole = bench.quantize(graph(text, w=weight * 1e-12), feeds, CPU, Format(per_channel=False, reduce_range=False))
    assert any(value.name == "wb" for node in whole.graph for value in node.inputs if value is not None)


@pytest.mark.parametrize("factor", [0.0, 1e-30, 1e20])
def test_dead_tiny_and_huge_tensors_are_finite(factor: float, bench: Bench, graph: Graph, xs: Inputs) -> None:
    model = graph(RESIDUAL, w=np.full((32, 16, 3, 3), factor, np.float32))
    feeds = xs(4, 16, 8, 8)
    after = bench.run(bench.quantize(model, feeds, CPU), feeds)["y"]
    assert np.isfinite(after).all()
    if factor == 0:
        assert after == pytest.approx(bench.run(model, feeds)["y"], abs=0.04)


def test_the_model_itself_is_not_changed(graph: Graph) -> None:
    profile, model = PROFILES[CPU], graph(RESIDUAL)
    before = ir.to_proto(model).SerializeToString(deterministic=True)
    nodes = place(model, profile)
    ranges = dict.fromkeys(calibrated_tensors(nodes, profile), (-1.0, 1.0))
    first, second = (write_static(model, nodes, ranges, profile, FULL) for _ in range(2))
    assert ir.to_proto(model).SerializeToString(deterministic=True) == before
    assert ir.to_proto(first).SerializeToString() == ir.to_proto(second).SerializeToString()


def test_names_that_are_taken_are_avoided(bench: Bench, graph: Graph, xs: Inputs) -> None:
    text = """
    net (float[N,16] x, float[16,16] w, float[16] w_scale) => (float[N,16] y)
    {
      x_quantized = Mul(x, w_scale)
      m = MatMul(x_quantized, w)
      x_quantized_quantized = Tanh(m)
      y = MatMul(x_quantized_quantized, w)
    }"""
    model, feeds = graph(text), xs(4, 16)
    quantized = bench.quantize(model, feeds, CPU)
    assert bench.sqnr(model, quantized, feeds) > 25
    names = [value.name for node in quantized.graph for value in node.outputs]
    assert len(set(names)) == len(names)


def test_embeddings_are_stored_in_int8_and_small_or_shared_tables_are_not(bench: Bench, graph: Graph) -> None:
    text = """
    net (int64[N,7] ids, float[300,32] table, float[20,32] small, float[32,300] other)
      => (float[N,7,32] y, float[N,7,300] z)
    {
      a = Gather(table, ids)
      b = Gather(small, ids)
      y = Add(a, b)
      z = MatMul(y, other)
    }"""
    model, feeds = graph(text), {"ids": np.arange(14).reshape(2, 7) % 20}
    quantized = bench.quantize(model, feeds, CPU)
    kinds = {str(value.name): value.dtype.name for value in quantized.graph.initializers.values() if value.dtype}
    assert (kinds["table_quantized"], kinds["small"], "table" in kinds) == ("INT8", "FLOAT", False)
    assert bench.sqnr(model, quantized, feeds) > 30
    assert "table" in bench.quantize(model, feeds, "tensorrt").graph.initializers
    tied = graph(text.replace("z = MatMul(y, other)", "t = Transpose(table) z = MatMul(y, t)"))
    assert "table" in bench.quantize(tied, feeds, CPU).graph.initializers


def test_the_time_grows_with_the_number_of_nodes_only(graph: Graph) -> None:
    seconds = [min(write_seconds(chain(graph, count)) for _ in range(2)) for count in (100, 800)]
    assert seconds[1] < 24 * seconds[0]


def chain(graph: Graph, layers: int) -> ir.Model:
    steps = [f"a{i} = Conv(r{i}, w) b{i} = Relu(a{i}) r{i + 1} = Add(b{i}, r{i})" for i in range(layers)]
    return graph(
        f"net (float[N,8,1,1] x, float[8,8,1,1] w) => (float[N,8,1,1] y) {{ r0 = Conv(x, w) {' '.join(steps)} "
        f"y = Identity(r{layers}) }}"
    )


def write_seconds(model: ir.Model) -> float:
    profile = PROFILES[CPU]
    started = time.process_time()
    nodes = place(model, profile)
    ranges = dict.fromkeys(calibrated_tensors(nodes, profile), (-1.0, 1.0))
    write_static(model, nodes, ranges, profile, FULL)
    return time.process_time() - started
