from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from optkit.core import interface as interfaces
from optkit.core.interface import Dim, Interface, Tensor
from optkit.core.passes import Host, Work
from optkit.graph.fuse.pipeline import Fusions
from optkit.measure.feeding import made_up_inputs
from optkit.passes import capture as capturing
from optkit.passes import export_attempt, export_reference, fusing
from optkit.passes.fuse import Fuse
from optkit.passes.quantize import Quantize
from optkit.passes.simplify import Simplify
from optkit.runtimes.table import RUNTIMES
from tests.passes.conftest import EXAMPLES, torch_source
from tests.passes.exports import export

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from optkit.passes.fusing import Stage

pytestmark = pytest.mark.heavy
FUSE = Fuse(target="onnxruntime-cpu", timed=False)


def operators(folder: Path) -> list[str]:
    return [node.op_type for node in onnx.load(folder / "model.onnx").graph.node]


def fuse(folder: Path, work: Work, do: Fuse = FUSE) -> dict[str, Any]:
    do.run({"model": folder}, work)
    note: dict[str, Any] = work.notes["fuse"]
    return note


def test_transformer_is_fused_for_onnxruntime_only(exported: Callable[[str], Path], works: Callable[[], Work]) -> None:
    ours, others, plain = works(), works(), works()
    note = fuse(exported("encoder"), ours)
    fuse(exported("encoder"), others, Fuse(target="tensorrt"))
    fuse(exported("encoder"), plain, replace(FUSE, attention=False))
    assert note["matched"]["MultiHeadAttention"] == 1
    assert {"MultiHeadAttention", "LayerNormalization"} <= set(operators(ours.out))
    assert {item.domain for item in onnx.load(ours.out / "model.onnx").opset_import} == {"", "com.microsoft"}
    for work in (others, plain):
        assert {item.domain for item in onnx.load(work.out / "model.onnx").opset_import} <= {""}


@pytest.mark.parametrize("style", ["eager", "sdpa"])
@pytest.mark.parametrize("capture", ["capture_named", "capture_traced"])
def test_every_attention_is_fused_from_both_exporters(
    capture: str, style: str, tmp_path: Path, works: Callable[[], Work], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_reference, "strategies", lambda _module: [capture])
    monkeypatch.setattr(export_attempt, "STRATEGIES", {capture: getattr(capturing, capture)})
    exported, simple, work = works(), works(), works()
    source = torch_source(tmp_path / "source", EXAMPLES["masked"], layers=4, style=style)
    export(source, exported)
    Simplify(tools=("onnxsim",)).run({"model": exported.out}, simple)
    note = fuse(simple.out, work)
    assert note["matched"]["MultiHeadAttention"] == 4
    assert note["near_misses"] == []
    assert "Softmax" not in operators(work.out)
    assert operators(work.out).count("Gelu") == 4


def test_projections_stay_quantizable(exported: Callable[[str], Path], works: Callable[[], Work]) -> None:
    work, quantized = works(), works()
    fuse(exported("encoder"), work)
    assert "Attention" not in operators(work.out)
    Quantize(method="dynamic", reduce_range=True).run({"model": work.out}, quantized)
    int8, total = quantized.notes["int8_nodes"]["MatMul"]
    assert int8 == total > 0
    assert quantized.notes["quality"]["logits"]["sqnr_db"] > 25


def attention(folder: Path) -> Path:
    """Writes an attention of x to itself, with four heads."""
    body = (
        "q = MatMul (x, wq) k = MatMul (x, wk) v = MatMul (x, wv)"
        "q4 = Reshape (q, heads) k4 = Reshape (k, heads) v4 = Reshape (v, heads)"
        "qh = Transpose <perm = [0, 2, 1, 3]> (q4) kt = Transpose <perm = [0, 2, 3, 1]> (k4)"
        "vh = Transpose <perm = [0, 2, 1, 3]> (v4) z = MatMul (qh, kt) p = Softmax <axis = -1> (z)"
        "o = MatMul (p, vh) ot = Transpose <perm = [0, 2, 1, 3]> (o) y = Reshape (ot, joined)"
    )
    proto = onnx.parser.parse_model(
        '<ir_version: 9, opset_import: ["" : 20]> g (float[batch, 6, 32] x) => (float[batch, 6, 32] y)'
        f"<int64[4] heads = {{0, 0, 4, 8}}, int64[3] joined = {{0, 0, 32}}> {{ {body} }}"
    )
    random = np.random.default_rng(0)
    for name in ("wq", "wk", "wv"):
        weight = (random.standard_normal((32, 32)) / 6).astype(np.float32)
        proto.graph.initializer.append(onnx.numpy_helper.from_array(weight, name))
    folder.mkdir()
    onnx.save(proto, folder / "model.onnx")
    ends = (Tensor("x", "float32", ("batch", 6, 32)),), (Tensor("y", "float32", ("batch", 6, 32)),)
    interfaces.write(folder, Interface(*ends, {"batch": Dim(1, 4, 8)}))
    return folder


def test_products_of_one_tensor_merge_where_asked_beside_fused_attention(
    tmp_path: Path, works: Callable[[], Work]
) -> None:
    source, apart, merged, quantized = attention(tmp_path / "source"), works(), works(), works()
    assert fuse(source, apart)["matched"] == {"MultiHeadAttention": 1}
    note = fuse(source, merged, replace(FUSE, merge=True))
    assert note["matched"] == {"MultiHeadAttention": 1, "products of one tensor": 3}
    assert operators(apart.out) == ["MatMul", "MatMul", "MatMul", "MultiHeadAttention"]
    assert operators(merged.out) == ["MatMul", "Split", "MultiHeadAttention"]
    Quantize(method="dynamic", reduce_range=True).run({"model": merged.out}, quantized)
    assert quantized.notes["int8_nodes"]["MatMul"] == [1, 1]
    assert quantized.notes["quality"]["y"]["sqnr_db"] > 25


@pytest.mark.parametrize("name", ["cnn", "encoder", "recurrent", "upsampler"])
def test_results_stay(name: str, exported: Callable[[str], Path], work: Work) -> None:
    folder = exported(name)
    fuse(folder, work)
    interface = interfaces.read(folder)
    assert interfaces.read(work.out) == interface
    inputs = made_up_inputs(interface, interface.sizes("max"), seed=1)
    before, after = (RUNTIMES["onnxruntime"].open(path, 1).run(inputs) for path in (folder, work.out))
    for output, array in before.items():
        np.testing.assert_allclose(after[output], array, atol=1e-4)


def third_party_raises(model: ir.Model) -> tuple[ir.Model, Fusions]:
    raise RuntimeError(f"third party, {len(model.graph)} nodes")


def freezes_an_axis(model: ir.Model) -> tuple[ir.Model, Fusions]:
    model.graph.inputs[0].shape = ir.Shape([1, 1, 16, 16])
    return model, Fusions({"frozen": 1}, ())


def changes_values(model: ir.Model) -> tuple[ir.Model, Fusions]:
    next(node for node in model.graph if node.op_type == "Relu").op_type = "Sigmoid"
    return model, Fusions({"wrong": 1}, ())


@pytest.mark.parametrize(
    ("stage", "reason"),
    [
        (third_party_raises, "RuntimeError: third party"),
        (freezes_an_axis, "axis 0 (batch) became 1"),
        (changes_values, "is off by"),
    ],
)
def test_a_stage_that_fails_is_left_out_and_the_others_stay(
    stage: Stage, reason: str, exported: Callable[[str], Path], work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fusing, "fuse_general", stage)
    note = fuse(exported("cnn"), work)
    assert reason in note["left_out"]["general rules"]
    assert operators(work.out) == operators(exported("cnn"))


def slows(model: ir.Model) -> Fusions:
    """Computes the same, out of many equal copies: many times slower."""
    node = next(node for node in model.graph if node.op_type == "Relu")
    times, axes = (
        ir.val(name, const_value=ir.tensor(values, name=name))
        for name, values in (("times", [400, 1, 1, 1, 1]), ("axes", [0]))
    )
    for constant in (times, axes):
        model.graph.register_initializer(constant)
    wide = ir.node("Expand", [node.inputs[0], times])
    narrow = ir.node("ReduceMax", [wide.outputs[0], axes], {"keepdims": 0})
    model.graph.insert_before(node, [wide, narrow])
    node.replace_input_with(0, narrow.outputs[0])
    return Fusions({"slow": 1}, ())


def test_a_stage_that_slows_the_graph_is_taken_back(
    exported: Callable[[str], Path], work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fusing, "fuse_blocks", lambda model, _newest: slows(model))
    monkeypatch.setattr(fusing, "operator_count", lambda _model: 10**6)  # whatever it adds is no reason
    note = fuse(exported("cnn"), work, replace(FUSE, timed=True))
    assert note["left_out"] == {"blocks": "it slows the graph"}
    assert note["speedup"]["blocks"][2] < 1
    assert operators(work.out) == operators(exported("cnn"))


def test_target_comes_from_the_recipe_unless_given() -> None:
    host = Host(frozenset(), "")
    assert Fuse().resolve("tensorrt", host).target == "tensorrt"
    assert Fuse(target="onnxruntime-cpu").resolve("tensorrt", host).target == "onnxruntime-cpu"


def test_what_can_be_timed_is_bound_to_the_machine() -> None:
    host = Host(frozenset(), "")
    assert Fuse().resolve("onnxruntime-cpu", host).is_device_bound()
    assert not Fuse().resolve("tensorrt", host).is_device_bound()
    assert not Fuse(timed=False).resolve("onnxruntime-cpu", host).is_device_bound()
