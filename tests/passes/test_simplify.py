from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from optkit.core import interface as interfaces
from optkit.core.artifact import digest_tree
from optkit.core.interface import Dim, Interface, Tensor
from optkit.graph.load import load_model
from optkit.graph.save import has_data_file, save_model
from optkit.graph.simplify import pipeline
from optkit.graph.simplify.pipeline import Removal, prepare
from optkit.graph.walk import operator_count
from optkit.measure.feeding import made_up_inputs
from optkit.measure.latency_report import Speedup
from optkit.passes import simplifying
from optkit.passes.simplify import Simplify
from optkit.runtimes.table import RUNTIMES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from optkit.core.passes import Work


def clumsy(folder: Path) -> Path:
    """Writes y = relu(x * (2 + 3)) + big, where `big` expands a scalar to 4 MB, with nodes that do nothing."""
    folder.mkdir()
    nodes = [
        helper.make_node("Add", ["two", "three"], ["five"], name="constant"),
        helper.make_node("Identity", ["x"], ["same"], name="nothing"),
        helper.make_node("Mul", ["same", "five"], ["scaled"], name="scale"),
        helper.make_node("Relu", ["scaled"], ["positive"], name="relu"),
        helper.make_node("Expand", ["two", "shape"], ["big"], name="expand"),
        helper.make_node("ReduceMean", ["big"], ["mean"], keepdims=0, name="mean"),
        helper.make_node("Add", ["positive", "mean"], ["y"], name="last"),
        helper.make_node("Neg", ["x"], ["dead"], name="dead"),
    ]
    weights = [
        numpy_helper.from_array(np.array([2], np.float32), "two"),
        numpy_helper.from_array(np.array([3], np.float32), "three"),
        numpy_helper.from_array(np.array([1024, 1024]), "shape"),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 3]) for name in ("x", "y")]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], weights)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    save_model(ir.serde.deserialize_model(proto), folder)
    tensors = [Tensor(name, "float32", ("batch", 3)) for name in ("x", "y")]
    interfaces.write(folder, Interface((tensors[0],), (tensors[1],), {"batch": Dim(1, 2, 9)}))
    return folder


def run(folder: Path, sizes: dict[str, int]) -> dict[str, np.ndarray]:
    inputs = made_up_inputs(interfaces.read(folder), sizes, seed=3)
    return RUNTIMES["onnxruntime"].open(folder, 1).run(inputs)


def test_constants_fold_and_idle_nodes_go(tmp_path: Path, work: Work) -> None:
    folder = clumsy(tmp_path / "model")
    Simplify(tools=()).run({"model": folder}, work)
    names = {node.op_type for node in onnx.load(work.out / "model.onnx").graph.node}
    assert not names & {"Identity", "Neg"}
    before, after = work.notes["simplify"]["nodes"]
    assert after < before == 8
    for size in (1, 5, 9):
        np.testing.assert_allclose(run(work.out, {"batch": size})["y"], run(folder, {"batch": size})["y"], rtol=1e-6)


def test_dynamic_axes_stay_and_the_interface_is_kept(tmp_path: Path, work: Work) -> None:
    folder = clumsy(tmp_path / "model")
    Simplify(tools=()).run({"model": folder}, work)
    assert interfaces.read(work.out) == interfaces.read(folder)
    assert run(work.out, {"batch": 7})["y"].shape == (7, 3)


def test_blow_ups_are_not_stored(tmp_path: Path, works: Callable[[], Work]) -> None:
    folder = clumsy(tmp_path / "model")
    work = works()
    Simplify(fold_limit_bytes=1000, tools=()).run({"model": folder}, work)
    assert (work.out / "model.onnx").stat().st_size < 10_000


def test_rewrite_that_changes_results_is_rolled_back(
    tmp_path: Path, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = clumsy(tmp_path / "model")

    def broken(model: ir.Model, limit: int, without: object) -> list[Removal]:
        del limit, without
        model.graph.initializers["three"].const_value = ir.Tensor(np.array([4], np.float32), name="three")
        return [Removal("three", 0, 0)]

    monkeypatch.setattr(simplifying, "simplify_graph", broken)
    Simplify(tools=()).run({"model": folder}, work)
    assert work.notes["simplify"]["applied"] is False
    assert "output 'y' is off by" in work.notes["simplify"]["left_out"]["own rewrites"]
    np.testing.assert_array_equal(run(work.out, {"batch": 2})["y"], run(folder, {"batch": 2})["y"])


def test_a_rewrite_that_breaks_the_graph_is_left_out_alone(
    tmp_path: Path, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(model: ir.Model) -> None:
        model.graph.remove(model.graph[0])

    monkeypatch.setattr(pipeline, "merge_common", broken)
    Simplify(tools=()).run({"model": clumsy(tmp_path / "model")}, work)
    notes = work.notes["simplify"]
    assert notes["nodes"][1] < notes["nodes"][0]
    assert "that was removed" in notes["left_out"]["common subexpressions"]


def test_what_removed_what_is_noted(tmp_path: Path, work: Work) -> None:
    Simplify(tools=()).run({"model": clumsy(tmp_path / "model")}, work)
    notes = work.notes["simplify"]
    removed = {each["rewrite"]: each["nodes"] for each in notes["removed"]}
    assert removed["dead code"] == removed["nodes that do nothing"] == 1
    assert sum(removed.values()) == notes["nodes"][0] - notes["nodes"][1]


def only_prepared(model: ir.Model, limit: int, without: object) -> list[Removal]:
    del limit, without
    prepare(model)
    return []


def test_tools_go_on_where_our_rewrites_end(
    tmp_path: Path, works: Callable[[], Work], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = clumsy(tmp_path / "model")
    monkeypatch.setattr(simplifying, "simplify_graph", only_prepared)
    work = works()
    Simplify(tools=("onnxsim",)).run({"model": folder}, work)
    notes = work.notes["simplify"]
    assert notes["removed"][0]["rewrite"] == "onnxsim"
    assert notes["nodes"][1] == 8 - notes["removed"][0]["nodes"] < 8
    np.testing.assert_allclose(run(work.out, {"batch": 2})["y"], run(folder, {"batch": 2})["y"], rtol=1e-6)
    assert not load_model(work.out / "model.onnx").metadata_props


TOOL_FAULTS = {
    "raises": ("raise RuntimeError('no')", "RuntimeError: no"),
    "changes values": (
        "g = model.graph.node; g[2].op_type = 'Add'; g.remove(g[-1]); return model, True",
        "is off by",
    ),
    "adds nodes": (
        "model.graph.node.add(op_type='Identity', input=['x'], output=['x2']); return model, True",
        "it removed no node",
    ),
    "loses an output": ("model.graph.node.pop(); model.graph.output[0].name = 'mean'; return model, True", "mean"),
    "writes no model": ("model.Clear(); return model, True", "not an ONNX file"),
}


@pytest.mark.parametrize(("body", "reason"), TOOL_FAULTS.values(), ids=TOOL_FAULTS)
def test_a_tool_that_fails_is_left_out(
    body: str, reason: str, tmp_path: Path, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, impostor = clumsy(tmp_path / "model"), tmp_path / "impostor"
    impostor.mkdir()
    (impostor / "onnxsim.py").write_text(f"def simplify(model, **options):\n    {body}\n")
    monkeypatch.setattr(sys, "path", [str(impostor), *sys.path])
    monkeypatch.setattr(simplifying, "simplify_graph", only_prepared)
    Simplify(tools=("onnxsim",)).run({"model": folder}, work)
    assert reason in work.notes["simplify"]["left_out"]["onnxsim"]
    np.testing.assert_array_equal(run(work.out, {"batch": 2})["y"], run(folder, {"batch": 2})["y"])


def test_large_models_are_compared_one_after_the_other_and_no_tool_copies_them(
    tmp_path: Path, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = clumsy(tmp_path / "model")
    save_model(load_model(folder / "model.onnx"), folder, inline_limit=0)
    assert has_data_file(folder)
    monkeypatch.setattr(simplifying, "INLINE_LIMIT", 1)
    Simplify(tools=("onnxsim",)).run({"model": folder}, work)
    notes = work.notes["simplify"]
    assert notes["nodes"][1] < 8
    assert "do not go through it" in notes["left_out"]["onnxsim"]
    assert len(notes["parity"]["cases"]) > 2


@pytest.mark.heavy
@pytest.mark.parametrize("name", ["cnn", "encoder", "recurrent", "upsampler"])
def test_real_models_never_get_more_nodes(name: str, exported: Callable[[str], Path], work: Work) -> None:
    folder = exported(name)
    Simplify(tools=()).run({"model": folder}, work)
    before, after = (operator_count(load_model(path / "model.onnx")) for path in (folder, work.out))
    assert after <= before
    assert interfaces.read(work.out) == interfaces.read(folder)


def test_a_simpler_graph_that_is_slower_is_given_up(
    tmp_path: Path, works: Callable[[], Work], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = clumsy(tmp_path / "model")
    slower, faster = Speedup(0.5, (0.4, 0.6)), Speedup(1.0, (0.9, 1.1))
    for speedup, is_kept in ((slower, False), (faster, True)):
        monkeypatch.setattr(simplifying, "time_against", lambda *_, speedup=speedup: {"the simpler graph": speedup})
        work = works()
        do = Simplify(tools=(), timed=True)
        do.run({"model": folder}, work)
        assert do.is_device_bound()
        assert work.notes["simplify"]["applied"] == is_kept
        assert (digest_tree(work.out) == digest_tree(folder)) != is_kept
