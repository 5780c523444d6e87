"""If and Loop: int8 inside their bodies, on values from inside and outside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from optkit.quant.dynamic import write_dynamic
from optkit.quant.engine import Format, write_static
from optkit.quant.layout import calibrated_tensors
from optkit.quant.observe import observe
from optkit.quant.placement import place
from optkit.quant.prepare import prepare
from optkit.quant.profiles import PROFILES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import onnx_ir as ir
    from numpy.typing import NDArray

    Bench = Any  # the class of conftest, which tests cannot import
    Graph = Callable[..., ir.Model]
    Feeds = Sequence[Mapping[str, NDArray[Any]]]

FORM = Format(per_channel=True, reduce_range=True)
PRODUCTS = """
net (float[N,16] x, bool xp, float[16,16] w, float[16,16] v) => (float[N,16] y)
{
  h = Tanh(x)
  y = If(xp) <
    then_branch = t () => (float[N,16] a) { b = MatMul(h, w) c = Relu(b) a = MatMul(c, v) },
    else_branch = e () => (float[N,16] d) { d = MatMul(h, v) }
  >
}"""
CONVOLUTIONS = """
net (float[N,8,4,4] x, bool xp, float[8,8,3,3] w, float[8] wb, float[8,8,1,1] v) => (float[N,8,4,4] y)
{
  h = Conv<pads=[1,1,1,1]>(x, w, wb)
  y = If(xp) <
    then_branch = t () => (float[N,8,4,4] a) { b = Conv(h, v) c = Relu(b) a = Add(c, h) },
    else_branch = e () => (float[N,8,4,4] d) { d = Conv(h, v) }
  >
}"""
LOOP = """
net (float[N,8,4,4] x, int64 xn, float[8,8,3,3] w, float[8] wb, float[8,8,1,1] v) => (float[N,8,4,4] y)
{
  go = Constant<value_int=1>()
  more = Cast<to=9>(go)
  y = Loop(xn, more, x) <body = b (int64 i, bool keep, float[N,8,4,4] old) => (bool again, float[N,8,4,4] new) {
    again = Identity(keep)
    c = Conv<pads=[1,1,1,1]>(old, w, wb)
    r = Relu(c)
    new = Conv(r, v)
  }>
}"""


def quantize(model: ir.Model, feeds: Feeds, bench: Bench, target: str = "onnxruntime-cpu") -> ir.Model:
    profile, model = PROFILES[target], prepare(model.clone())
    nodes = place(model, profile)
    seen = observe(model, calibrated_tensors(nodes, profile), feeds, bench.new())
    return write_static(model, nodes, {name: (each.low, each.high) for name, each in seen.items()}, profile, FORM)


def given(shape: tuple[int, ...], **others: object) -> dict[str, NDArray[Any]]:
    x = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    return {"x": x, **{name: np.array(value) for name, value in others.items()}}


@pytest.mark.parametrize(
    ("text", "shape", "kernels"),
    [
        (PRODUCTS, (4, 16), {"MatMulIntegerToFloat": 2, "QLinearMatMul": 1}),
        (CONVOLUTIONS, (2, 8, 4, 4), {"QLinearConv": 3, "QLinearAdd": 1}),
    ],
)
def test_both_branches_run_in_int8(
    text: str, shape: tuple[int, ...], kernels: dict[str, int], graph: Graph, bench: Bench
) -> None:
    model, feeds = graph(text), [given(shape, xp=True), given(shape, xp=False)]
    quantized = quantize(model, feeds, bench)
    ran = bench.optimized(quantized)
    assert {name: ran.count(name) for name in kernels} == kernels
    assert min(bench.sqnr(model, quantized, feed) for feed in feeds) > 30


def test_a_branch_that_calibration_never_took_stays_float(graph: Graph, bench: Bench) -> None:
    model, feeds = graph(CONVOLUTIONS), [given((2, 8, 4, 4), xp=False), given((2, 8, 4, 4), xp=True)]
    quantized = quantize(model, feeds[:1], bench)
    assert bench.optimized(quantized).count("QLinearConv") == 2
    assert min(bench.sqnr(model, quantized, feed) for feed in feeds) > 30


def test_a_loop_is_calibrated_over_its_iterations(graph: Graph, bench: Bench) -> None:
    model, feed = graph(LOOP), given((2, 8, 4, 4), xn=3)
    quantized = quantize(model, [feed], bench)
    assert bench.optimized(quantized).count("QLinearConv") == 2
    assert bench.sqnr(model, quantized, feed) > 25


@pytest.mark.parametrize("target", sorted(PROFILES))
def test_every_profile_writes_bodies_that_run(target: str, graph: Graph, bench: Bench) -> None:
    model, feeds = graph(CONVOLUTIONS), [given((2, 8, 4, 4), xp=True), given((2, 8, 4, 4), xp=False)]
    quantized = quantize(model, feeds, bench, target)
    assert min(bench.sqnr(model, quantized, feed) for feed in feeds) > 30


def test_dynamic_reaches_into_bodies(graph: Graph, bench: Bench) -> None:
    model, feeds = graph(PRODUCTS), [given((4, 16), xp=True), given((4, 16), xp=False)]
    quantized = write_dynamic(prepare(model.clone()), FORM)
    ran = bench.optimized(quantized)
    assert "MatMul" not in ran
    assert "Gemm" not in ran
    assert min(bench.sqnr(model, quantized, feed) for feed in feeds) > 30
