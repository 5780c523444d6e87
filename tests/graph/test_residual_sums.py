from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest

from optkit.graph.residual_sums import part_residual_sums
from optkit.graph.save import save_model
from optkit.graph.session import open_graph

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import onnx_ir as ir

    Network = Callable[..., ir.Model]
    Compute = Callable[[ir.Model, np.ndarray], np.ndarray]

BLOCK = "a = MatMul(x, w) s = Add(x, a) n = LayerNormalization(s, g, b) y = Relu(n)"
SHAPES = {"w": (8, 8), "g": (8,), "b": (8,)}


def test_fires_and_computes_the_same(network: Network, compute: Compute) -> None:
    before = network(BLOCK, "[2,3,8]", **SHAPES)
    after = before.clone()
    assert part_residual_sums(after) == [before.graph[1].name]
    assert [node.op_type for node in after.graph] == ["MatMul", "Sum", "LayerNormalization", "Relu"]
    x = np.random.default_rng(1).standard_normal((2, 3, 8)).astype(np.float32)
    np.testing.assert_allclose(compute(after, x), compute(before, x), rtol=0, atol=0)


@pytest.mark.parametrize(
    "body",
    ["s = Add(x, b) n = Relu(s) y = LayerNormalization(n, g, b)", "n = LayerNormalization(x, g, b) y = Add(n, x)"],
)
def test_does_not_fire(body: str, network: Network) -> None:
    model = network(body, "[2,3,8]", **SHAPES)
    before = [node.op_type for node in model.graph]
    assert part_residual_sums(model) == []
    assert [node.op_type for node in model.graph] == before


def test_onnxruntime_keeps_them_apart(network: Network, tmp_path: Path) -> None:
    model = network(BLOCK, "[2,3,8]", **SHAPES)
    assert "SkipLayerNormalization" in optimized(model, tmp_path)
    part_residual_sums(model)
    assert "SkipLayerNormalization" not in optimized(model, tmp_path)


def optimized(model: ir.Model, folder: Path) -> list[str]:
    """Returns the operators that ONNX Runtime makes of a graph."""
    open_graph(save_model(model, folder), save_optimized=folder / "optimized.onnx")
    return [node.op_type for node in onnx.load(folder / "optimized.onnx", load_external_data=False).graph.node]
