from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest

from optkit.core import interface as interfaces
from optkit.core.passes import Host, Work
from optkit.graph import fusions
from optkit.measure.feeding import made_up_inputs
from optkit.passes.fuse import Fuse
from optkit.passes.quantize import Quantize
from optkit.runtimes import RUNTIMES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.heavy


def operators(folder: Path) -> list[str]:
    return [node.op_type for node in onnx.load(folder / "model.onnx").graph.node]


def test_transformer_is_fused_for_onnxruntime_only(exported: Callable[[str], Path], works: Callable[[], Work]) -> None:
    ours, others = works(), works()
    Fuse(target="onnxruntime-cpu").run({"model": exported("encoder")}, ours)
    Fuse(target="tensorrt").run({"model": exported("encoder")}, others)
    assert {"Sum", "LayerNormalization"} <= set(operators(ours.out))
    assert "SkipLayerNormalization" not in operators(ours.out)
    assert {item.domain for item in onnx.load(ours.out / "model.onnx").opset_import} == {"", "com.microsoft"}
    assert ours.notes["fuse"]["applied"]
    assert {item.domain for item in onnx.load(others.out / "model.onnx").opset_import} <= {""}


def test_projections_stay_quantizable(exported: Callable[[str], Path], works: Callable[[], Work]) -> None:
    work, quantized = works(), works()
    Fuse(target="onnxruntime-cpu").run({"model": exported("encoder")}, work)
    assert "Attention" not in operators(work.out)
    Quantize(method="dynamic", reduce_range=True).run({"model": work.out}, quantized)
    int8, total = quantized.notes["int8_nodes"]["MatMul"]
    assert int8 == total > 0
    assert quantized.notes["quality"]["logits"]["sqnr_db"] > 25


@pytest.mark.parametrize("name", ["cnn", "encoder", "recurrent", "upsampler"])
def test_results_stay(name: str, exported: Callable[[str], Path], work: Work) -> None:
    folder = exported(name)
    Fuse(target="onnxruntime-cpu").run({"model": folder}, work)
    interface = interfaces.read(folder)
    assert interfaces.read(work.out) == interface
    inputs = made_up_inputs(interface, interface.sizes("max"), seed=1)
    before, after = (RUNTIMES["onnxruntime"].open(path, 1).run(inputs) for path in (folder, work.out))
    for output, array in before.items():
        np.testing.assert_allclose(after[output], array, atol=1e-4)


def test_failing_fusion_keeps_the_graph(
    exported: Callable[[str], Path], work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fusions, "_FUSIONS", (("erfgelu", "no_such_function"),))
    Fuse(target="onnxruntime-cpu").run({"model": exported("cnn")}, work)
    assert "AttributeError" in work.notes["fuse"]["reason"]
    assert operators(work.out) == operators(exported("cnn"))


def test_target_comes_from_the_recipe_unless_given() -> None:
    host = Host(frozenset(), "")
    assert Fuse().resolve("tensorrt", host).target == "tensorrt"
    assert Fuse(target="onnxruntime-cpu").resolve("tensorrt", host).target == "onnxruntime-cpu"
