"""Golden placements: which tensors of small graphs carry Q/DQ, and whose scale they take."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from optkit.quant.engine import Format, write_static
from optkit.quant.layout import calibrated_tensors, lay_out, scale_ranges
from optkit.quant.placement import place
from optkit.quant.profiles import PROFILES

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx_ir as ir

RESIDUAL = """
net (float[N,16,8,8] x, float[16,16,1,1] w, float[16,16,1,1] v, float[10,16] f) => (float[N,10] y)
{
  a = Conv(x, w)
  b = Relu(a)
  p = MaxPool<kernel_shape=[2,2], strides=[2,2]>(b)
  c = Conv(p, v)
  d = Add(c, p)
  e = Relu(d)
  g = GlobalAveragePool(e)
  h = Flatten(g)
  y = Gemm<transB=1>(h, f)
}"""

BRANCHES = """
net (float[N,16,8,8] x, float[16,16,1,1] w, float[16,16,1,1] v, float[16,32,1,1] u) => (float[N,16,8,8] y)
{
  a = Conv(x, w)
  b = Conv(x, v)
  c = Concat<axis=1>(a, b)
  y = Conv(c, u)
}"""

TRANSFORMER = """
net (float[N,7,16] x, float[16] s, float[16] z, float[16,16] q, float[16,16] k, float[16,16] o) => (float[N,7,16] y)
{
  n = LayerNormalization(x, s, z)
  a = MatMul(n, q)
  b = MatMul(n, k)
  t = Transpose<perm=[0,2,1]>(b)
  c = MatMul(a, t)
  d = Softmax(c)
  e = MatMul(d, a)
  m = MatMul(e, o)
  y = Add(m, x)
}"""


def carried(model: ir.Model, target: str) -> dict[str, str]:
    """Returns tensor → the tensor whose scale it takes."""
    profile = PROFILES[target]
    layout = lay_out(place(model, profile), profile)
    return {str(value.name): str(layout.owner_of(value).name) for value in layout.tensors()}


@pytest.mark.parametrize(
    ("text", "target", "expected"),
    [
        (RESIDUAL, "onnxruntime-cpu", {"x": "x", "b": "b", "p": "b", "c": "c", "e": "e", "g": "g", "h": "g"}),
        (RESIDUAL, "openvino-cpu", {"x": "x", "b": "b", "p": "b", "c": "c", "e": "e", "g": "g", "h": "g"}),
        (RESIDUAL, "tensorrt", {"x": "x", "p": "p", "e": "e"}),
        (BRANCHES, "onnxruntime-cpu", {"x": "x", "a": "a", "b": "b", "c": "c", "y": "y"}),
        (BRANCHES, "tensorrt", {"x": "x", "a": "a", "b": "a", "c": "a"}),
        (BRANCHES, "openvino-cpu", {"x": "x", "a": "a", "b": "a", "c": "a"}),
        (TRANSFORMER, "onnxruntime-cpu", {"n": "n", "e": "e"}),
        (TRANSFORMER, "tensorrt", {"n": "n", "e": "e"}),
        (TRANSFORMER, "openvino-cpu", {"n": "n", "e": "e"}),
    ],
)
def test_golden_placements(text: str, target: str, expected: dict[str, str], graph: Callable[..., ir.Model]) -> None:
    assert carried(graph(text), target) == expected


def test_every_scale_is_calibrated_once(graph: Callable[..., ir.Model]) -> None:
    profile, model = PROFILES["onnxruntime-cpu"], graph(RESIDUAL)
    assert sorted(calibrated_tensors(place(model, profile), profile)) == ["b", "c", "e", "g", "x"]


def test_a_shared_range_covers_all_members(graph: Callable[..., ir.Model]) -> None:
    profile, model = PROFILES["tensorrt"], graph(BRANCHES)
    layout = lay_out(place(model, profile), profile)
    ranges = scale_ranges(layout, {"x": (-1.0, 1.0), "a": (-1.0, 2.0), "b": (-5.0, 1.0), "c": (-5.0, 2.0)})
    assert {str(owner.name): ends for owner, ends in ranges.items()} == {"x": (-1.0, 1.0), "a": (-5.0, 2.0)}


def test_the_shortcut_and_not_the_convolution_is_quantized_for_tensorrt(graph: Callable[..., ir.Model]) -> None:
    text = """
    net (float[N,16,8,8] x, float[16,16,1,1] w, float[16,16,1,1] v) => (float[N,16,8,8] y)
    {
      s = Conv(x, w)
      r = Relu(s)
      c = Conv(r, v)
      y = Add(c, r)
    }"""
    assert carried(graph(text), "tensorrt") == {"x": "x", "r": "r"}


@pytest.mark.parametrize("missing", ["x", "b", "c", "e", "g"])
def test_nodes_without_a_range_stay_float(missing: str, graph: Callable[..., ir.Model]) -> None:
    profile, model = PROFILES["onnxruntime-cpu"], graph(RESIDUAL)
    nodes = place(model, profile)
    ranges = {name: (-1.0, 1.0) for name in calibrated_tensors(nodes, profile) if name != missing}
    quantized = write_static(model, nodes, ranges, profile, Format(per_channel=True, reduce_range=False))
    names = {
        str(node.inputs[0].name) for node in quantized.graph if node.op_type == "QuantizeLinear" and node.inputs[0]
    }
    assert missing not in names
    assert names


def test_any_subset_of_the_nodes_can_be_written(graph: Callable[..., ir.Model]) -> None:
    profile, model = PROFILES["onnxruntime-cpu"], graph(RESIDUAL)
    nodes = place(model, profile)
    ranges = dict.fromkeys(calibrated_tensors(nodes, profile), (-1.0, 1.0))
    random = np.random.default_rng(0)
    for _ in range(20):
        subset = [node for node in nodes if random.random() < 0.5]
        write_static(model, subset, ranges, profile, Format(per_channel=True, reduce_range=False))


def test_unread_results_and_second_outputs_carry_nothing(graph: Callable[..., ir.Model]) -> None:
    text = """
    net (float[N,16,8,8] x, float[16,16,1,1] w, float[16,8,1,1] v) => (float[N,16,8,8] y)
    {
      a = Conv(x, w)
      m, indices = MaxPool<kernel_shape=[1,1]>(a)
      left, right = Split<axis=1>(m)
      y = Conv(left, v)
    }"""
    assert carried(graph(text), "onnxruntime-cpu") == {"x": "x", "a": "a", "m": "a", "left": "a", "y": "y"}
