from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from optkit.graph.fuse.gelu import find_gelus
from optkit.graph.fuse.pipeline import fuse_blocks

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx_ir as ir

HEAD = "g (float[batch, 8] x) => (float[batch, 8] y)"
NUMBERS = (
    "float root = {1.4142135}, float inverse = {0.70710677}, float half = {0.5}, float one = {1}, float[1] ones = {1},"
    "float three = {3}, float two = {2}, float c = {0.044715}, float k = {0.7978846}"
)
ERF = "u = Div (x, root) e = Erf (u) s = Add (e, one)"
TANH = "p = Pow (x, three) q = Mul (p, c) r = Add (x, q) t = Mul (r, k) e = Tanh (t) s = Add (one, e)"
SPELLINGS = {
    "exact": f"{ERF} m = Mul (x, s) y = Mul (m, half)",
    "half first": f"{ERF} h = Mul (x, half) y = Mul (h, s)",
    "half beside": f"{ERF} h = Mul (s, half) y = Mul (x, h)",
    "divided": f"{ERF} m = Mul (s, x) y = Div (m, two)",
    "inverse root": f"{ERF.replace('Div (x, root)', 'Mul (inverse, x)')} m = Mul (x, s) y = Mul (half, m)",
    "vector of one": f"{ERF.replace('one', 'ones')} m = Mul (x, s) y = Mul (m, half)",
    "tanh": f"{TANH} h = Mul (x, half) y = Mul (h, s)",
    "tanh of products": f"{TANH.replace('p = Pow (x, three)', 'xx = Mul (x, x) p = Mul (xx, x)')} m = Mul (s, x) y = Mul (m, half)",
}  # fmt: skip
X = {"x": np.linspace(-6, 6, 24, dtype=np.float32).reshape(3, 8)}


@pytest.mark.parametrize("body", SPELLINGS.values(), ids=SPELLINGS)
def test_gelu_is_found_in_every_spelling(
    body: str, parse: Callable[..., ir.Model], answers: Callable[..., Any]
) -> None:
    model = parse(f"{HEAD} <{NUMBERS}> {{ {body} }}")
    before = answers(model, X)
    assert fuse_blocks(model, newest=20).counts == {"Gelu": 1}
    assert [node.op_type for node in model.graph] == ["Gelu"]
    np.testing.assert_allclose(answers(model, X)[0], before[0], atol=2e-6)


MISSES = {
    "another root": f"{ERF.replace('root', 'two')} m = Mul (x, s) y = Mul (m, half)",
    "a third": f"{ERF} m = Mul (x, s) y = Mul (m, c)",
    "another factor": f"{ERF} h = Mul (x, half) z = Sqrt (x) m = Mul (s, z) y = Mul (m, half)",
    "another cube": f"{TANH.replace('three', 'two')} m = Mul (x, s) y = Mul (m, half)",
    "another polynomial": f"{TANH.replace('k)', 'two)')} m = Mul (x, s) y = Mul (m, half)",
}


@pytest.mark.parametrize("body", MISSES.values(), ids=MISSES)
def test_what_only_looks_like_it_stays(body: str, parse: Callable[..., ir.Model]) -> None:
    found, missed = find_gelus(parse(f"{HEAD} <{NUMBERS}> {{ {body} }}"))
    assert not found
    assert len(missed) == 1


def test_a_value_inside_that_is_read_elsewhere_stays_right(
    parse: Callable[..., ir.Model], answers: Callable[..., Any]
) -> None:
    text = f"g (float[batch, 8] x) => (float[batch, 8] y, float[batch, 8] s) <{NUMBERS}> {{ {ERF} m = Mul (x, s) y = Mul (m, half) }}"
    model = parse(text)
    before = answers(model, X)
    fuse_blocks(model, newest=20)
    for ours, theirs in zip(answers(model, X), before, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-6)
