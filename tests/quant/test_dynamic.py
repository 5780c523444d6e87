from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir
import pytest

from optkit.quant.dynamic import write_dynamic
from optkit.quant.engine import Format
from optkit.quant.prepare import prepare

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Bench = Any  # the class of conftest, which tests cannot import
    Graph = Callable[..., ir.Model]
    Inputs = Callable[..., dict[str, NDArray[Any]]]

PER_CHANNEL = Format(per_channel=True, reduce_range=True)
FORMS = [PER_CHANNEL, Format(per_channel=False, reduce_range=True)]
PROJECTIONS = """
net (float[N,7,48] x, float[48,32] q, float[48,32] k, float[32,64] o, float[64] ob, float[10,64] f, float[10] fb)
  => (float[N,10] y)
{
  a = MatMul(x, q)
  b = MatMul(x, k)
  s = Add(a, b)
  m = MatMul(s, o)
  n = Add(m, ob)
  r = ReduceMean<axes=[1], keepdims=0>(n)
  y = Gemm<transB=1>(r, f, fb)
}"""
LSTM = """
net (float[5,N,12] x, float[{d},64,12] w, float[{d},64,16] r, float[{d},128] b)
  => (float[5,{d},N,16] y, float[{d},N,16] h)
{{ y, h = LSTM<hidden_size=16, direction="{direction}">(x, w, r, b) }}"""


@pytest.mark.parametrize("form", FORMS)
def test_products_are_fused_and_share_a_quantized_activation(
    form: Format, bench: Bench, graph: Graph, xs: Inputs
) -> None:
    model, feeds = graph(PROJECTIONS), xs(4, 7, 48)
    quantized = write_dynamic(prepare(model.clone()), form)
    ran = bench.optimized(quantized)
    assert ran.count("DynamicQuantizeLinear") == 1
    assert (ran.count("MatMulIntegerToFloat"), ran.count("DynamicQuantizeMatMul")) == (2, 2)
    assert bench.sqnr(model, quantized, feeds) > 30


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
def test_recurrent_weights_are_int8(direction: str, form: Format, bench: Bench, graph: Graph, xs: Inputs) -> None:
    directions = 1 + (direction == "bidirectional")
    model, feeds = graph(LSTM.format(d=directions, direction=direction)), xs(5, 3, 12)
    quantized = write_dynamic(prepare(model.clone()), form)
    assert "DynamicQuantizeLSTM" in bench.optimized(quantized)
    shape = [directions, 64] if form.per_channel else [directions]
    assert quantized.graph.initializers["w_scale"].shape == ir.Shape(shape)
    assert quantized.opset_imports["com.microsoft"] == 1
    assert bench.sqnr(model, quantized, feeds) > 30


def test_what_has_no_integer_kernel_is_left(graph: Graph) -> None:
    text = """
    net (float[N,4,6,6] x, float[4,4,3,3] w, float[6,6] v) => (float[N,4,4,4] y, float[N,4,6,6] z, float[6,6] k)
    {
      y = Conv(x, w)
      z = MatMul(x, x)
      k = MatMul(v, v)
    }"""
    quantized = write_dynamic(prepare(graph(text)), PER_CHANNEL)
    assert sorted(node.op_type for node in quantized.graph) == ["Conv", "MatMul", "MatMul"]


def test_batched_weights_take_one_scale(bench: Bench, graph: Graph, xs: Inputs) -> None:
    text = "net (float[N,3,4,8] x, float[3,8,8] w) => (float[N,3,4,8] y) { y = MatMul(x, w) }"
    model, feeds = graph(text), xs(2, 3, 4, 8)
    quantized = write_dynamic(prepare(model.clone()), PER_CHANNEL)
    assert quantized.graph.initializers["w_scale"].shape == ir.Shape([])
    assert bench.sqnr(model, quantized, feeds) > 30


def test_shared_weights_are_stored_once(bench: Bench, graph: Graph, xs: Inputs) -> None:
    text = "net (float[N,4,8] x, float[8,8] w) => (float[N,4,8] y) { h = MatMul(x, w) t = Tanh(h) y = MatMul(t, w) }"
    model, feeds = graph(text), xs(2, 4, 8)
    quantized = write_dynamic(prepare(model.clone()), PER_CHANNEL)
    assert sorted(quantized.graph.initializers) == ["w_quantized", "w_scale", "w_zero_point"]
    assert bench.sqnr(model, quantized, feeds) > 30


def test_embeddings_shrink_too(bench: Bench, graph: Graph) -> None:
    text = """
    net (int64[N,7] ids, float[300,32] table, float[32,16] w) => (float[N,7,16] y)
    { e = Gather(table, ids) y = MatMul(e, w) }"""
    model, feeds = graph(text), {"ids": np.arange(14).reshape(2, 7)}
    quantized = write_dynamic(prepare(model.clone()), PER_CHANNEL)
    kinds = {name: value.dtype for name, value in quantized.graph.initializers.items() if name.endswith("_quantized")}
    assert kinds == dict.fromkeys(("table_quantized", "w_quantized"), ir.DataType.INT8)
    assert not {"table", "w"} & set(quantized.graph.initializers)
    assert bench.sqnr(model, quantized, feeds) > 30
