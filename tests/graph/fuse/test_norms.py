from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from optkit.graph.fuse.norms import find_norms
from optkit.graph.fuse.pipeline import fuse_blocks

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx_ir as ir

RNG = np.random.default_rng(0)
HEAD = "g (float[batch, 5, 8] x) => (float[batch, 5, 8] y)"
NUMBERS = "float[8] scale = {1, 2, 3, 4, 5, 6, 7, 8}, float[8] bias = {8, 7, 6, 5, 4, 3, 2, 1}, float e = {0.01}, float two = {2}, float one = {1}"
MEAN = "mean = ReduceMean <axes = [-1]> (x) d = Sub (x, mean)"
VARIANCE = "sq = Pow (d, two) var = ReduceMean <axes = [-1]> (sq) total = Add (var, e) std = Sqrt (total)"
LAYER = {
    "division": f"{MEAN} {VARIANCE} n = Div (d, std) s = Mul (n, scale) y = Add (s, bias)",
    "reciprocal": f"{MEAN} {VARIANCE} r = Reciprocal (std) n = Mul (r, d) s = Mul (scale, n) y = Add (bias, s)",
    "one over": f"{MEAN} {VARIANCE} r = Div (one, std) n = Mul (d, r) s = Mul (n, scale) y = Add (s, bias)",
    "product": f"{MEAN} {VARIANCE.replace('Pow (d, two)', 'Mul (d, d)')} n = Div (d, std) s = Mul (n, scale) y = Add (s, bias)",
    "centered twice": f"{MEAN} {VARIANCE} c = Sub (x, mean) n = Div (c, std) s = Mul (n, scale) y = Add (s, bias)",
    "no parameters": f"{MEAN} {VARIANCE} y = Div (d, std)",
    "no bias": f"{MEAN} {VARIANCE} n = Div (d, std) y = Mul (n, scale)",
}  # fmt: skip
X = {"x": RNG.standard_normal((3, 5, 8)).astype(np.float32) * 3 + 1}


@pytest.mark.parametrize("opset", [17, 14, 20])
@pytest.mark.parametrize("body", LAYER.values(), ids=LAYER)
def test_layer_norm_is_found_in_every_spelling(
    body: str, opset: int, parse: Callable[..., ir.Model], answers: Callable[..., Any]
) -> None:
    if opset >= 18:
        body = body.replace("<axes = [-1]> (x)", "(x, last)").replace("<axes = [-1]> (sq)", "(sq, last)")
    model = parse(f"{HEAD} <{NUMBERS}, int64[1] last = {{-1}}> {{ {body} }}", opset)
    before = answers(model, X)
    fusions = fuse_blocks(model, newest=20)
    assert fusions.counts == {"LayerNormalization": 1}
    assert [node.op_type for node in model.graph] == ["LayerNormalization"]
    np.testing.assert_allclose(answers(model, X)[0], before[0], atol=1e-5)


@pytest.mark.parametrize("opset", [17, 23])
def test_rms_norm_becomes_the_standard_operator(
    opset: int, parse: Callable[..., ir.Model], answers: Callable[..., Any]
) -> None:
    body = "sq = Mul (x, x) var = ReduceMean (sq, last) total = Add (var, e) std = Sqrt (total) r = Reciprocal (std) n = Mul (x, r) y = Mul (scale, n)"
    if opset < 18:
        body = body.replace("(sq, last)", "<axes = [-1]> (sq)")
    model = parse(f"{HEAD} <{NUMBERS}, int64[1] last = {{-1}}> {{ {body} }}", opset)
    before = answers(model, X)
    assert fuse_blocks(model, newest=23).counts == {"RMSNormalization": 1}
    assert model.opset_imports[""] == 23
    np.testing.assert_allclose(answers(model, X)[0], before[0], atol=1e-5)


def test_an_operator_set_that_the_target_does_not_read_is_not_taken(parse: Callable[..., ir.Model]) -> None:
    body = "sq = Mul (x, x) var = ReduceMean <axes = [-1]> (sq) total = Add (var, e) std = Sqrt (total) n = Div (x, std) y = Mul (scale, n)"
    model = parse(f"{HEAD} <{NUMBERS}> {{ {body} }}", 17)
    fusions = fuse_blocks(model, newest=20)
    assert not fusions.counts
    assert [miss.reason for miss in fusions.near_misses] == ["it is an operator from operator set 23 on"]
    assert model.opset_imports[""] == 17


MISSES = {
    "is not over the last axes": f"{MEAN} {VARIANCE} y = Div (d, std)".replace("[-1]", "[1]"),
    "is not what it was computed from": f"{MEAN} {VARIANCE} y = Div (x, std)",
}


@pytest.mark.parametrize(("reason", "body"), MISSES.items(), ids=MISSES)
def test_what_only_looks_like_one_is_named(reason: str, body: str, parse: Callable[..., ir.Model]) -> None:
    found, missed = find_norms(parse(f"{HEAD} <{NUMBERS}> {{ {body} }}"))
    assert not found
    assert reason in missed[0].reason


def test_a_deviation_alone_is_no_normalization(parse: Callable[..., ir.Model]) -> None:
    found, missed = find_norms(parse(f"{HEAD} <{NUMBERS}> {{ {MEAN} {VARIANCE} y = Add (x, std) }}"))
    assert not found
    assert missed


def test_a_scale_of_another_shape_stays_apart(parse: Callable[..., ir.Model], answers: Callable[..., Any]) -> None:
    text = f"{HEAD} <{NUMBERS}, float[5, 1] rows = {{1, 2, 3, 4, 5}}> {{ {MEAN} {VARIANCE} n = Div (d, std) y = Mul (n, rows) }}"
    model = parse(text)
    before = answers(model, X)
    assert fuse_blocks(model, newest=20).counts == {"LayerNormalization": 1}
    assert [node.op_type for node in model.graph] == ["LayerNormalization", "Mul"]
    np.testing.assert_allclose(answers(model, X)[0], before[0], atol=1e-5)
