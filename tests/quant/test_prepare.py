from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir
import pytest

from optkit.core.errors import StepFailed, UsageError
from optkit.quant.prepare import prepare

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Bench = Any  # the class of conftest, which tests cannot import
    Graph = Callable[..., ir.Model]
    Inputs = Callable[..., dict[str, NDArray[Any]]]


@pytest.mark.parametrize("opset", [7, 9, 11, 12])
def test_old_operator_sets_are_upgraded(opset: int, graph: Graph, bench: Bench, xs: Inputs) -> None:
    text = "net (float[N,8] x, float[8,4] w) => (float[N,4] y) { m = MatMul(x, w) y = Softmax<axis=1>(m) }"
    model, feeds = graph(text, opset=opset), xs(3, 8)
    before = bench.run(model, feeds)["y"]
    prepared = prepare(model)
    assert prepared.opset_imports[""] >= 13
    np.testing.assert_allclose(bench.run(prepared, feeds)["y"], before, atol=1e-6)


def test_an_operator_without_a_newer_version_is_refused(graph: Graph) -> None:
    text = "net (float[N,1,4,4] x) => (float[N,1,8,8] y) { y = Upsample<scales=[1.0,1.0,2.0,2.0]>(x) }"
    with pytest.raises(StepFailed, match="cannot be brought from operator set 7 to 13"):
        prepare(graph(text.replace("Upsample", "NoSuchOperator"), opset=7))


@pytest.mark.parametrize("operator", ["DynamicQuantizeLinear", "QuantizeLinear", "QLinearMatMul"])
def test_quantized_graphs_are_refused_by_the_name_of_a_node(operator: str, graph: Graph) -> None:
    model = graph("net (float[N] x) => (float[N] y) { y = Relu(x) }")
    node = model.graph[0]
    node.op_type, node.name = operator, "culprit"
    with pytest.raises(UsageError, match=rf"quantized already: node 'culprit' is {operator}"):
        prepare(model)


def test_functions_are_inlined() -> None:
    model = ir.from_onnx_text("""
        <ir_version: 8, opset_import: ["" : 17, "mine" : 1]>
        net (float[N,4] x, float[4,4] w) => (float[N,4] y) { y = mine.twice(x, w) }
        <domain: "mine", opset_import: ["" : 17]>
        twice (a, b) => (d) { c = MatMul(a, b) d = MatMul(c, b) }
    """)
    assert [node.op_type for node in prepare(model).graph] == ["MatMul", "MatMul"]


def test_constants_become_initializers_and_all_nodes_have_names(graph: Graph) -> None:
    model = prepare(graph("net (float[N] x) => (float[N] y) { c = Constant<value_float=2.0>() y = Mul(x, c) }"))
    assert [node.op_type for node in model.graph] in (["Mul"], ["Constant", "Mul"])
    assert all(node.name for node in model.graph)
    assert len({node.name for node in model.graph}) == len(list(model.graph))


def test_sequences_survive(bench: Bench, graph: Graph, xs: Inputs) -> None:
    text = """
    net (float[N,4] x) => (float[M,4] y)
    { e = SequenceEmpty() s = SequenceInsert(e, x) t = SequenceInsert(s, x) y = ConcatFromSequence<axis=0>(t) }"""
    assert bench.run(prepare(graph(text)), xs(2, 4))["y"].shape == (4, 4)
