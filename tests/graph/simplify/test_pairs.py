from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optkit.graph.simplify.casts import shorten_casts, widens
from optkit.graph.simplify.no_ops import remove_no_ops
from optkit.graph.simplify.pipeline import simplify_graph
from optkit.graph.simplify.reshapes import join_reshapes
from optkit.graph.simplify.transposes import join_transposes

from .conftest import operators, parse, run

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx_ir as ir

TYPES = {
    "FLOAT": np.float32, "DOUBLE": np.float64, "FLOAT16": np.float16, "BFLOAT16": ml_dtypes.bfloat16, "BOOL": np.bool_,
    "INT8": np.int8, "UINT8": np.uint8, "INT16": np.int16, "UINT16": np.uint16, "INT32": np.int32, "UINT32": np.uint32,
    "INT64": np.int64, "UINT64": np.uint64,
}  # fmt: skip
NAMES = st.sampled_from(sorted(TYPES))
X = np.array([[-0.0, np.nan, np.inf], [1.5, -np.inf, 70000.0]], np.float32)


def both(model: ir.Model) -> None:
    for rewrite in (shorten_casts, join_transposes, join_reshapes, remove_no_ops):
        rewrite(model)


@given(NAMES, NAMES, st.binary(min_size=8, max_size=8))
def test_a_wider_type_holds_every_value(source: str, to: str, raw: bytes) -> None:
    with np.errstate(all="ignore"):
        value = np.frombuffer(raw, TYPES[source])[:1] if source != "BOOL" else np.array([raw[0] > 127])
        back = value.astype(TYPES[to]).astype(TYPES[source])
    # NaN stays NaN; which one it is does not matter.
    if widens(source, to) and not np.isnan(value.astype(np.float64)).any():
        assert back.tobytes() == value.tobytes()


@pytest.mark.parametrize("to", sorted(TYPES))
@pytest.mark.parametrize("source", sorted(TYPES))
def test_a_type_that_is_not_wider_loses_a_value(source: str, to: str) -> None:
    if widens(source, to):
        return
    kind = TYPES[source]
    info: Callable[[object], Any] = ml_dtypes.finfo
    if source == "BOOL":
        extremes = np.array([False, True])
    elif np.dtype(kind).kind in "iu":
        extremes = np.array([np.iinfo(kind).max, np.iinfo(kind).min, np.iinfo(kind).max - 1], kind)
    else:
        extremes = np.array([1 + float(info(kind).eps), float(info(kind).max), float(info(kind).tiny), -1.5]).astype(
            kind
        )
    with np.errstate(all="ignore"):
        moved = extremes.astype(TYPES[to])
    # Python compares integers with floats exactly.
    assert [each.item() for each in moved] != [each.item() for each in extremes]


def test_a_cast_like_a_tensor_of_known_type_is_a_cast(rewritten: Callable[..., list[str]]) -> None:
    text = "(float[2, 3] x, float16[2] u) => (float16[2, 3] y) { a = CastLike(x, u) y = Neg(a) }"
    assert rewritten(both, text, {"x": X, "u": np.ones(2, np.float16)}) == ["Cast", "Neg"]


def test_a_number_that_is_cast_like_a_tensor_is_computed_ahead() -> None:
    text = "(float16[2] x) => (float16[2] y) { a = Constant<value_float = 1.5>() b = CastLike(a, x) y = Mul(x, b) }"
    model = parse(text)
    simplify_graph(model, 1024)
    assert operators(model) == ["Mul"]


def test_a_detour_over_a_wider_type_goes(rewritten: Callable[..., list[str]]) -> None:
    text = "(float[2, 3] x) => (float[2, 3] y) { a = Cast<to = 11>(x) b = Cast<to = 1>(a) y = Neg(b) }"
    assert rewritten(both, text, {"x": X}) == ["Neg"]


def test_a_narrower_type_between_rounds_and_stays(rewritten: Callable[..., list[str]]) -> None:
    text = "(float[2, 3] x) => (float[2, 3] y) { a = Cast<to = 10>(x) b = Cast<to = 1>(a) y = Neg(b) }"
    assert rewritten(both, text, {"x": X}) == ["Cast", "Cast", "Neg"]


def test_truth_stays_truth(rewritten: Callable[..., list[str]]) -> None:
    text = "(float[2, 3] x) => (float[2, 3] y) { a = Cast<to = 9>(x) b = Cast<to = 1>(a) y = Neg(b) }"
    assert rewritten(both, text, {"x": X}) == ["Cast", "Cast", "Neg"]


def test_a_float_on_its_way_to_an_integer_keeps_its_detour(rewritten: Callable[..., list[str]]) -> None:
    text = "(float16[2] x) => (int64[2] y) { a = Cast<to = 1>(x) b = Cast<to = 7>(a) y = Abs(b) }"
    assert rewritten(both, text, {"x": np.array([1.5, -2.5], np.float16)}) == ["Abs", "Cast", "Cast"]


PERMUTATIONS = st.permutations(range(4))


@given(PERMUTATIONS, PERMUTATIONS)
def test_two_transposes_are_one(first: list[int], second: list[int]) -> None:
    nodes = f"a = Transpose<perm = {first}>(x) b = Transpose<perm = {second}>(a) y = Neg(b)"
    text = f"(float[2, 3, 4, 5] x) => (float[A, B, C, D] y) {{ {nodes} }}"
    x = np.arange(120, dtype=np.float32).reshape(2, 3, 4, 5)
    model, before = parse(text), parse(text)
    both(model)
    names = [node.op_type for node in model.graph if node.op_type != "Transpose" or node.outputs[0].uses()]
    undone = [first[axis] for axis in second] == [0, 1, 2, 3]
    assert sum(name == "Transpose" for name in names) <= 2 - undone
    assert run(model, {"x": x})[0].tobytes() == run(before, {"x": x})[0].tobytes()
    readers = [node for node in model.graph if node.op_type == "Neg"]
    source = readers[0].inputs[0]
    assert source is not None
    assert (source.name == "x") == undone


def test_transposes_that_undo_each_other_go(rewritten: Callable[..., list[str]]) -> None:
    text = "(float[2, 3] x) => (float[2, 3] y) { a = Transpose(x) b = Transpose<perm = [1, 0]>(a) y = Neg(b) }"
    assert rewritten(both, text, {"x": X}) == ["Neg"]


def test_transposes_with_another_user_keep_the_first(rewritten: Callable[..., list[str]]) -> None:
    text = (
        "(float[2, 3] x) => (float[2, 3] y, float[3, 2] z) { a = Transpose(x) b = Transpose(a) y = Neg(b) z = Abs(a) }"
    )
    assert rewritten(both, text, {"x": X}) == ["Abs", "Neg", "Transpose"]


def test_the_last_reshape_counts(rewritten: Callable[..., list[str]]) -> None:
    text = """(float[N, 3] x) => (float[M] y) {
        a = Unsqueeze(x, axis) b = Flatten(a) c = Reshape(b, wide) d = Squeeze(c, axis)
        e = Reshape(d, all) y = Neg(e) }"""
    weights = {"axis": np.array([0]), "wide": np.array([1, -1]), "all": np.array([-1])}
    assert rewritten(both, text, {"x": X}, {"x": X[:1]}, **weights) == ["Neg", "Reshape"]


def test_a_reshape_that_copies_an_axis_needs_the_shape_before(rewritten: Callable[..., list[str]]) -> None:
    text = "(float[2, 3] x) => (float[6, 1] y) { a = Reshape(x, s) b = Reshape(a, t) y = Neg(b) }"
    weights = {"s": np.array([6]), "t": np.array([0, 1])}
    assert rewritten(both, text, {"x": X}, **weights) == ["Neg", "Reshape", "Reshape"]


@pytest.mark.parametrize(("axes", "left"), [([0], ["Neg"]), ([1], ["Neg", "Squeeze", "Unsqueeze"])])
def test_a_squeeze_undoes_the_same_unsqueeze_only(
    axes: list[int], left: list[str], rewritten: Callable[..., list[str]]
) -> None:
    text = "(float[1, 1, 3] x) => (float[A, B, C] y) { a = Squeeze(x, s) b = Unsqueeze(a, t) y = Neg(b) }"
    weights = {"s": np.array([0]), "t": np.array(axes)}
    assert rewritten(both, text, {"x": X[None, :1]}, **weights) == left


def test_operators_of_other_domains_are_left_alone() -> None:
    model = parse("(float[2, 3] x) => (float[2, 3] y) { a = com.microsoft.Gelu(x) y = Neg(a) }")
    both(model)
    assert operators(model) == ["Gelu", "Neg"]
