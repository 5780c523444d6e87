from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from optkit.graph.fuse.attention import find_attention
from optkit.graph.fuse.multi_head import fuse_attention
from optkit.graph.shapes import name_nodes

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx_ir as ir

BATCH, QUERIES, KEYS, HEADS, SIZE = 2, 5, 7, 4, 8
RNG = np.random.default_rng(0)
FEEDS = {
    "q": RNG.standard_normal((BATCH, QUERIES, HEADS * SIZE)).astype(np.float32),
    "k": RNG.standard_normal((BATCH, KEYS, HEADS * SIZE)).astype(np.float32),
    "v": RNG.standard_normal((BATCH, KEYS, HEADS * SIZE)).astype(np.float32),
    "rows": RNG.standard_normal((BATCH, 1, QUERIES, KEYS)).astype(np.float32),
    "cols": RNG.standard_normal((BATCH, 1, 1, KEYS)).astype(np.float32),
    "plain": RNG.standard_normal((QUERIES, KEYS)).astype(np.float32),
    "keep": np.arange(BATCH * KEYS).reshape(BATCH, 1, 1, KEYS) % 3 != 0,
}
HEAD = (
    "g (float[b, s, 32] q, float[b, t, 32] k, float[b, t, 32] v, float[b, 1, s, t] rows, float[b, 1, 1, t] cols,"
    " float[s, t] plain, bool[b, 1, 1, t] keep) => (float[b, s, 32] y)"
)
NUMBERS = (
    "int64[4] heads = {0, 0, 4, 8}, int64[4] one = {0, -1, 1, 8}, int64[3] joined = {0, 0, 32}, float scale = {0.25}, float root = {0.5}, float four = {4},"
    "float zero = {0}, float never = {-3.4028235e38}, float infinite = {-inf}, float little = {-5}"
)


@dataclass(frozen=True)
class Spelling:
    """Each part of an attention as an exporter may write it."""

    query: str = "q4 = Reshape (q, heads) qh = Transpose <perm = [0, 2, 1, 3]> (q4)"
    key: str = "k4 = Reshape (k, heads) kt = Transpose <perm = [0, 2, 3, 1]> (k4)"
    value: str = "v4 = Reshape (v, heads) vh = Transpose <perm = [0, 2, 1, 3]> (v4)"
    scores: str = "a = MatMul (qh, kt) z = Mul (a, scale)"
    weights: str = "p = Softmax <axis = -1> (z)"
    result: str = "o = MatMul (p, vh) ot = Transpose <perm = [0, 2, 1, 3]> (o) y = Reshape (ot, joined)"

    def text(self) -> str:
        return f"{HEAD} <{NUMBERS}> {{ {self.body()} }}"

    def body(self) -> str:
        return f"{self.query} {self.key} {self.value} {self.scores} {self.weights} {self.result}"


def after(node: str) -> str:
    """The plain scores, and then `node`, which makes `z` of `m`."""
    return f"a = MatMul (qh, kt) m = Mul (a, scale) {node}"


KEYS_IN_TWO = (
    "k4 = Reshape (k, heads) kh = Transpose <perm = [0, 2, 1, 3]> (k4) kt = Transpose <perm = [0, 1, 3, 2]> (kh)"
)
GUARD = "w = Softmax <axis = -1> (z) n = IsNaN (w) p = Where (n, zero, w)"
PLAIN = Spelling()
SPELLINGS = {
    "plain": PLAIN,
    "divided": Spelling(scores="a = MatMul (qh, kt) z = Div (a, four)"),
    "scaled operands": Spelling(scores="qs = Mul (qh, root) ks = Mul (kt, root) z = MatMul (qs, ks)"),
    "scaled before": Spelling(
        key="k4 = Reshape (k, heads) kh = Transpose <perm = [0, 2, 1, 3]> (k4) kx = Mul (kh, scale) kt = Transpose <perm = [0, 1, 3, 2]> (kx)",
        scores="z = MatMul (qh, kt)",
    ),
    "two transposes": Spelling(key=KEYS_IN_TWO),
    "mask": Spelling(scores=after("z = Add (m, rows)")),
    "mask first": Spelling(scores=after("z = Add (rows, m)")),
    "mask of keys": Spelling(scores=after("z = Add (m, cols)")),
    "mask of two axes": Spelling(scores=after("z = Add (m, plain)")),
    "two masks": Spelling(scores=after("n = Add (m, plain) z = Add (cols, n)")),
    "kept": Spelling(scores=after("z = Where (keep, m, never)")),
    "dropped": Spelling(scores=after("z = Where (keep, never, m)")),
    "infinite": Spelling(scores=after("z = Where (keep, m, infinite)")),
    "guarded": Spelling(scores=after("z = Where (keep, m, infinite)"), weights=GUARD),
    "shape stated again": Spelling(
        result="o = MatMul (p, vh) h = Shape (o) o2 = Reshape (o, h) ot = Transpose <perm = [0, 2, 1, 3]> (o2) y = Reshape (ot, joined)"
    ),
    "not joined": Spelling(
        result="o = MatMul (p, vh) ot = Transpose <perm = [2, 0, 1, 3]> (o) of = Transpose <perm = [1, 0, 2, 3]> (ot) y = Reshape (of, joined)"
    ),
    "heads given": Spelling(query="qx = Neg (q) q4 = Reshape (qx, heads) qy = Transpose <perm = [0, 2, 1, 3]> (q4) qh = Relu (qy)"),
}  # fmt: skip


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
def test_attention_is_found_in_every_spelling(
    spelling: Spelling, parse: Callable[..., ir.Model], answers: Callable[..., Any]
) -> None:
    model = parse(spelling.text())
    before = answers(model, FEEDS)
    assert fuse_attention(model) == (1, [])
    name_nodes(model)
    operators = {node.op_type for node in model.graph}
    assert "MultiHeadAttention" in operators
    assert not operators & {"Softmax", "MatMul"}
    np.testing.assert_allclose(answers(model, FEEDS)[0], before[0], atol=1e-5)


def test_rows_in_which_all_is_masked_stay_zero(parse: Callable[..., ir.Model], answers: Callable[..., Any]) -> None:
    feeds = {**FEEDS, "keep": np.arange(BATCH * KEYS).reshape(BATCH, 1, 1, KEYS) >= KEYS}
    model = parse(SPELLINGS["guarded"].text())
    before = answers(model, feeds)[0]
    assert not before[0].any()
    fuse_attention(model)
    name_nodes(model)
    np.testing.assert_allclose(answers(model, feeds)[0], before, atol=1e-5)


def test_layers_share_their_mask(parse: Callable[..., ir.Model]) -> None:
    first = SPELLINGS["mask of keys"]
    body = first.body()
    second = re.sub(r"\b(q4|qh|k4|kt|v4|vh|a|m|z|p|o|ot|y)\b", r"\1_2", body).replace("(q, heads)", "(y, heads)")
    head = HEAD.replace("=> (float[b, s, 32] y)", "=> (float[b, s, 32] y, float[b, s, 32] y_2)")
    model = parse(f"{head} <{NUMBERS}> {{ {body} {second} }}")
    assert fuse_attention(model)[0] == 2
    assert sum(node.op_type == "Expand" for node in model.graph) == 1


MISSES = {
    "not replaced by one large negative number": replace(PLAIN, scores=after("z = Where (keep, m, little)")),
    "its masks are multiplied": replace(PLAIN, scores="a = MatMul (qh, kt) m = Add (a, rows) z = Mul (m, scale)"),
    "more heads than its keys": replace(
        PLAIN,
        key="k4 = Reshape (cols, one) kt = Transpose <perm = [0, 2, 3, 1]> (k4)",
        value="v4 = Reshape (v, heads) vh = Transpose <perm = [0, 2, 1, 3]> (v4)",
    ),
    "not over the last axis": replace(PLAIN, weights="p = Softmax <axis = 1> (z)"),
    "not transposed in their last two axes": replace(
        Spelling(), key="k4 = Reshape (k, heads) kt = Transpose <perm = [0, 2, 1, 3]> (k4)",
        scores="kr = Relu (kt) ku = Transpose <perm = [3, 1, 2, 0]> (kr) kw = Relu (ku) a = MatMul (qh, kw) z = Mul (a, scale)",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("reason", "spelling"), MISSES.items(), ids=MISSES)
def test_what_only_looks_like_it_is_named(reason: str, spelling: Spelling, parse: Callable[..., ir.Model]) -> None:
    found, missed = find_attention(parse(spelling.text()))
    assert not found
    assert [reason in miss.reason for miss in missed] == [True]


@pytest.mark.parametrize("scores", ["z = Add (rows, plain)", after("t = Tanh (m) z = Add (t, rows)")])
def test_other_uses_of_softmax_are_not_worth_a_word(scores: str, parse: Callable[..., ir.Model]) -> None:
    assert find_attention(parse(replace(PLAIN, scores=scores).text())) == ([], [])


def test_old_operator_sets_are_left_alone(parse: Callable[..., ir.Model]) -> None:
    assert fuse_attention(parse(PLAIN.text(), 12)) == (0, [])
