from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from optkit.quant.placement import place
from optkit.quant.profiles import PROFILES

TEXT = """
<ir_version: 8, opset_import: ["" : 17]>
net (float[N, 32, 8, 8] x, float[N, 4, 32] q, float[N, 32, 4] k,
     float[32, 32, 1, 1] w, float[32, 32, 1, 1] v, float[32, 16] m, float[1] one)
    => (float[N, 32, 8, 8] y, float[N, 4, 4] s, float[N, 4, 16] t)
{
  a = Conv(x, w)
  b = Relu(a)
  c = Conv(b, v)
  d = Add(b, c)
  e = Add(d, one)
  y = Add(e, x)
  s = MatMul(q, k)
  t = MatMul(q, m)
}
"""


def chosen(target: str, text: str = TEXT, inputs: int = 3) -> list[str | None]:
    model = ir.from_onnx_text(text)
    random = np.random.default_rng(0)
    for value in list(model.graph.inputs)[inputs:]:
        assert value.shape is not None
        array = random.standard_normal(value.shape.numpy()).astype(np.float32)
        value.const_value = ir.Tensor(array, name=value.name)
        model.graph.register_initializer(value)
    del model.graph.inputs[inputs:]
    return [node.outputs[0].name for node in place(model, PROFILES[target])]


def test_cpu_keeps_an_island_and_leaves_products_of_activations() -> None:
    assert chosen("onnxruntime-cpu") == ["a", "c", "d", "t"]


def test_tensorrt_takes_weighted_operators_and_residual_sums() -> None:
    assert chosen("tensorrt") == ["a", "c", "d", "t"]


@pytest.mark.parametrize("target", sorted(PROFILES))
def test_nothing_to_place_in_a_graph_without_weights(target: str) -> None:
    model = ir.from_onnx_text(
        '<ir_version: 8, opset_import: ["" : 17]>\ng (float[N] x) => (float[N] y) { y = Relu(x) }'
    )
    assert place(model, PROFILES[target]) == []


ATTENTION = """
<ir_version: 8, opset_import: ["" : 17]>
net (float[N, 8, 16] x, float[N, 1, 1, 8] mask,
     float[16, 16] wq, float[16, 16] wk, float[16] b, float[1] one, float[1] large)
    => (float[N, 8, 16] y)
{
  q = MatMul(x, wq)
  qb = Add(q, b)
  k = MatMul(x, wk)
  kt = Transpose<perm = [0, 2, 1]>(k)
  scores = MatMul(qb, kt)
  absent = Sub(one, mask)
  penalty = Mul(absent, large)
  masked = Add(scores, penalty)
  p = Softmax(masked)
  c = MatMul(p, k)
  y = Add(c, x)
}
"""


@pytest.mark.parametrize("target", sorted(PROFILES))
def test_of_attention_only_products_with_weights_are_int8(target: str) -> None:
    """An additive mask spans the whole float range: one code of it would swallow every score."""
    assert chosen(target, ATTENTION, inputs=2) == ["q", "k"]
