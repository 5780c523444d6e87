from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as passes
import onnxruntime
import pytest

from optkit.graph.save import to_proto
from optkit.graph.shapes import refresh_shapes
from optkit.graph.simplify.pipeline import prepare
from optkit.graph.simplify.spec import spec_violation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    Arrays = Mapping[str, NDArray[np.generic]]

HEADER = '<ir_version: 10, opset_import: ["" : 20, "com.microsoft" : 1]>'


def parse(text: str, **weights: NDArray[np.generic]) -> ir.Model:
    """Returns the model of a graph in ONNX's text form, such as `(float[N] x) => (float[N] y) { y = Relu(x) }`."""
    model = ir.from_onnx_text(f"{HEADER} net {text}", initializers=[ir.tensor(w, name=n) for n, w in weights.items()])
    prepare(model)
    refresh_shapes(model)
    return model


def run(model: ir.Model, feeds: Arrays) -> list[NDArray[np.generic]]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    proto = to_proto(model).SerializeToString()
    session = onnxruntime.InferenceSession(proto, options, providers=["CPUExecutionProvider"])
    results: list[NDArray[np.generic]] = session.run(
        None, {value.name: feeds[value.name] for value in session.get_inputs()}
    )
    return results


def operators(model: ir.Model) -> list[str]:
    return sorted(node.op_type for node in model.graph.all_nodes())


def assert_identical(actual: NDArray[np.generic], expected: NDArray[np.generic]) -> None:
    """NaN counts as NaN whatever its bits; -0.0 is not 0.0."""
    assert actual.dtype == expected.dtype
    np.testing.assert_array_equal(actual, expected)
    if expected.dtype.kind == "f":
        numbers = ~np.isnan(expected)
        np.testing.assert_array_equal(np.signbit(actual[numbers]), np.signbit(expected[numbers]))


@pytest.fixture
def rewritten() -> Callable[..., list[str]]:
    """Returns (rewrite, text, feeds, weights) → the operators left, dead code apart; results must be the same."""

    def check(
        rewrite: Callable[[ir.Model], object], text: str, *feeds: Arrays, **weights: NDArray[np.generic]
    ) -> list[str]:
        model, before = parse(text, **weights), parse(text, **weights)
        names = [value.name for value in model.graph.outputs]
        rewrite(model)
        passes.RemoveUnusedNodesPass()(model)
        assert not spec_violation(model)
        assert [value.name for value in model.graph.outputs] == names
        for each in feeds:
            for expected, actual in zip(run(before, each), run(model, each), strict=True):
                assert_identical(actual, expected)
        return operators(model)

    return check
