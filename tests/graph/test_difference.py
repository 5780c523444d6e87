from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnx_ir as ir
from onnx import numpy_helper

from optkit.graph.clean import SOURCE
from optkit.graph.difference import ends_difference, nodes_difference, weights_difference

if TYPE_CHECKING:
    from numpy.typing import NDArray

TEXT = """<ir_version: 10, opset_import: ["" : 20]> g (float[n, 4] x) => (float[n, 4] y) {
    [first] a = MatMul(x, w1)
    [act] b = LeakyRelu<alpha = 0.1>(a)
    [second] y = MatMul(b, w2)
}"""
RANDOM = np.random.default_rng(0)
W1, W2 = (RANDOM.standard_normal((4, 4)).astype(np.float32) for _ in range(2))


def model(text: str = TEXT, **weights: NDArray[np.float32]) -> ir.Model:
    proto = onnx.parser.parse_model(text)
    proto.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in weights.items())
    return ir.from_proto(proto)


def test_equal_graphs() -> None:
    pair = model(w1=W1, w2=W2), model(w1=W1, w2=W2)
    nodes, weights = nodes_difference(*pair), weights_difference(*pair)
    assert (nodes.same, nodes.changed, nodes.removed, nodes.added) == (3, {}, {}, {})
    assert (weights.shared, weights.shared_bytes) == (2, 128)
    assert (weights.changed, weights.removed, weights.added) == ((), (), ())
    assert ends_difference(*pair) == {}


def test_changed_added_and_removed_nodes() -> None:
    text = TEXT.replace("alpha = 0.1", "alpha = 0.2").replace(
        "[second] y = MatMul(b, w2)", "[last] y = Relu(c)\n [extra] c = Neg(b)"
    )
    found = nodes_difference(model(w1=W1, w2=W2), model(text, w1=W1))
    assert found.same == 1
    assert found.changed["act"] == ("alpha=0.10000000149011612", "alpha=0.20000000298023224")
    assert found.changed["last"] == ("MatMul", "Relu")  # the same tensor
    assert (found.removed, found.added) == ({}, {"extra": "Neg"})


def test_renamed_nodes_are_matched_by_where_they_come_from() -> None:
    renamed = model(TEXT.replace("[first] a", "[one] q").replace("(a)", "(q)"), w1=W1, w2=W2)
    before = model(w1=W1, w2=W2)
    for graph in (before, renamed):
        next(iter(graph.graph)).metadata_props[SOURCE] = "model.py:3"
    assert nodes_difference(before, renamed).same == 3
    del next(iter(renamed.graph)).metadata_props[SOURCE]
    lost = nodes_difference(before, renamed)
    assert (lost.removed, lost.added) == ({"first": "MatMul (model.py:3)"}, {"one": "MatMul"})


def test_weights_by_content() -> None:
    renamed = model(TEXT.replace("w1", "other"), other=W1, w2=W2 + 1)
    found = weights_difference(model(w1=W1, w2=W2), renamed)
    assert (found.shared, found.changed, found.removed, found.added) == (1, ("w2",), (), ())
    wider = model(TEXT, w1=W1, w2=W2.astype(np.float64))
    assert weights_difference(model(w1=W1, w2=W2), wider).changed == ("w2",)


def test_a_weight_whose_kind_the_other_lacks_is_not_read() -> None:
    absent = model(TEXT.replace("w2", "big"), w1=W1)
    value = list(absent.graph)[-1].inputs[1]
    assert value is not None
    value.const_value = ir.ExternalTensor(
        "absent.bin", 0, 1 << 33, ir.DataType.FLOAT, shape=ir.Shape([1 << 31]), name="big"
    )
    absent.graph.initializers.add(value)
    found = weights_difference(model(w1=W1, w2=W2), absent)
    assert (found.removed, found.added) == (("w2",), ("big",))


def test_ends() -> None:
    other = (
        TEXT.replace("float[n, 4] x", "float16[n, 4] x").replace("float[n, 4] y", "float[n, 4] z").replace("y =", "z =")
    )
    assert ends_difference(model(), model(other)) == {
        "input x": ("float [n, 4]", "float16 [n, 4]"), "output y": ("float [n, 4]", None),
        "output z": (None, "float [n, 4]"),
    }  # fmt: skip
