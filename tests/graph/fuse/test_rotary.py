from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from optkit.graph.fuse.pipeline import fuse_blocks
from optkit.graph.fuse.rotary import find_rotaries

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx_ir as ir

HEAD = "g (float[batch, 3, length, 8] x, float[1, length, 4] f) => (float[batch, 3, length, 8] y)"
NUMBERS = (
    "int64[1] zero = {0}, int64[1] half = {4}, int64[1] last = {9223372036854775807}, int64[1] axis = {3},"
    "int64[1] minus = {-1}, int64[1] back = {-4}, int64[1] one = {1}, int64[2] halves = {4, 4}, float scale = {0.5}, int64[1] two = {2}, int64[1] three = {3}"
)
TABLE = "d = Concat <axis = -1> (f, f) c = Cos (d) s = Sin (d) cos = Unsqueeze (c, one) sin = Unsqueeze (s, one)"
TURN = "l = Slice (x, zero, half, axis, one) r = Slice (x, half, last, axis, one) n = Neg (r) t = Concat <axis = -1> (n, l)"
JOIN = "a = Mul (x, cos) b = Mul (t, sin) y = Add (a, b)"
SPELLINGS = {
    "as transformers writes it": f"{TABLE} {TURN} {JOIN}",
    "the other way round": f"{TABLE} {TURN} a = Mul (cos, x) b = Mul (sin, t) y = Add (b, a)",
    "split": f"{TABLE} l, r = Split <axis = 3> (x, halves) n = Neg (r) t = Concat <axis = 3> (n, l) {JOIN}",
    "counted from the end": f"{TABLE} {TURN.replace('half, last, axis', 'back, last, minus')} {JOIN}",
    "scaled": f"{TABLE.replace('c = Cos (d)', 'k = Cos (d) c = Mul (k, scale)')} {TURN} {JOIN}",
}  # fmt: skip
RANDOM = np.random.default_rng(0)


def feeds(batch: int, length: int) -> dict[str, Any]:
    return {
        "x": RANDOM.standard_normal((batch, 3, length, 8)).astype(np.float32),
        "f": RANDOM.standard_normal((1, length, 4)).astype(np.float32),
    }


@pytest.mark.parametrize("body", SPELLINGS.values(), ids=SPELLINGS)
def test_it_is_found_in_every_spelling(body: str, parse: Callable[..., ir.Model], answers: Callable[..., Any]) -> None:
    model = parse(f"{HEAD} <{NUMBERS}> {{ {body} }}", opset=18)
    given = [feeds(2, 5), feeds(1, 1), feeds(1, 7)]
    before = [answers(model, each)[0] for each in given]
    assert fuse_blocks(model, newest=23).counts == {"RotaryEmbedding": 1}
    assert "Neg" not in {node.op_type for node in model.graph}
    for each, right in zip(given, before, strict=True):
        np.testing.assert_allclose(answers(model, each)[0], right, atol=2e-6)


def test_layers_share_a_table(parse: Callable[..., ir.Model]) -> None:
    again = TURN.replace("(x,", "(y1,").replace("l =", "l2 =").replace("r =", "r2 =").replace("n =", "n2 =")
    again = again.replace("(r)", "(r2)").replace("t =", "t2 =").replace("(n, l)", "(n2, l2)")
    first = JOIN.replace("y =", "y1 =")
    second = "a2 = Mul (y1, cos) b2 = Mul (t2, sin) y = Add (a2, b2)"
    model = parse(f"{HEAD} <{NUMBERS}> {{ {TABLE} {TURN} {first} {again} {second} }}", opset=18)
    assert fuse_blocks(model, newest=23).counts == {"RotaryEmbedding": 2}
    operators = [node.op_type for node in model.graph]
    assert operators.count("Slice") == 2  # of the cosine and of the sine


MISSES = {
    "one angle for all places": f"{TABLE} {TURN} {JOIN}".replace("cos = Unsqueeze (c, one)", "w = Unsqueeze (c, one) cos = ReduceMax <keepdims = 1> (w, two)"),
    "unequal halves": f"{TABLE.replace('(f, f)', '(f, g2)').replace('d =', 'g2 = Neg (f) d =')} {TURN} {JOIN}",
    "another tensor": f"{TABLE} {TURN} z = Sqrt (x) a = Mul (z, cos) b = Mul (t, sin) y = Add (a, b)",
    "a difference": f"{TABLE} {TURN} a = Mul (x, cos) b = Mul (t, sin) y = Sub (a, b)",
    "angles of each head": f"{TABLE} {TURN} {JOIN}".replace("cos = Unsqueeze (c, one)", "w = Unsqueeze (c, one) cos = Concat <axis = 1> (w, w, w)"),
}  # fmt: skip


@pytest.mark.parametrize("body", MISSES.values(), ids=MISSES)
def test_what_only_looks_like_it_stays(body: str, parse: Callable[..., ir.Model]) -> None:
    found, missed = find_rotaries(parse(f"{HEAD} <{NUMBERS}> {{ {body} }}", opset=18))
    assert not found
    assert len(missed) == 1


OTHERS = {
    "the first half negated": f"{TABLE} {TURN.replace('Neg (r)', 'Neg (l)')} {JOIN}",
    "unequal parts": TURN.replace("half, last", "three, last").replace("t =", "y ="),
    "a negation alone": "y = Neg (x)",
}  # fmt: skip


@pytest.mark.parametrize("body", OTHERS.values(), ids=OTHERS)
def test_another_negation_is_no_near_miss(body: str, parse: Callable[..., ir.Model]) -> None:
    head = HEAD.replace("length, 8] y", "length, n] y")
    assert find_rotaries(parse(f"{head} <{NUMBERS}> {{ {body} }}", opset=18)) == ([], [])


def test_an_older_operator_set_is_a_near_miss(parse: Callable[..., ir.Model]) -> None:
    model = parse(f"{HEAD} <{NUMBERS}> {{ {TABLE} {TURN} {JOIN} }}", opset=18)
    fusions = fuse_blocks(model, newest=22)
    assert not fusions.counts
    assert [miss.pattern for miss in fusions.near_misses] == ["RotaryEmbedding"]
