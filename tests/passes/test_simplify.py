from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from optkit.core import interface as interfaces
from optkit.core.artifact import digest_tree
from optkit.core.interface import Dim, Interface, Tensor
from optkit.graph import simplification
from optkit.graph.load import load_model
from optkit.graph.save import save_model
from optkit.graph.simplification import simplified
from optkit.graph.walk import operator_count
from optkit.measure.feeding import made_up_inputs
from optkit.passes import rewriting
from optkit.passes.simplify import Simplify
from optkit.runtimes import RUNTIMES

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


def test_no_protocol_of_the_simplifier_is_left(tmp_path: Path) -> None:
    model = load_model(clumsy(tmp_path / "model") / "model.onnx")
    model.metadata_props["stride"] = "32"
    assert dict(simplified(model, 1 << 20).metadata_props) == {"stride": "32"}


def run(folder: Path, sizes: dict[str, int]) -> dict[str, np.ndarray]:
    inputs = made_up_inputs(interfaces.read(folder), sizes, seed=3)
    return RUNTIMES["onnxruntime"].open(folder, 1).run(inputs)


def test_constants_fold_and_idle_nodes_go(tmp_path: Path, work: Work) -> None:
    folder = clumsy(tmp_path / "model")
    Simplify().run({"model": folder}, work)
    names = {node.op_type for node in onnx.load(work.out / "model.onnx").graph.node}
    assert not names & {"Identity", "Neg"}
    before, after = work.notes["simplify"]["nodes"]
    assert after < before == 8
    for size in (1, 5, 9):
        np.testing.assert_allclose(run(work.out, {"batch": size})["y"], run(folder, {"batch": size})["y"], rtol=1e-6)


def test_dynamic_axes_stay_and_the_interface_is_kept(tmp_path: Path, work: Work) -> None:
    folder = clumsy(tmp_path / "model")
    Simplify().run({"model": folder}, work)
    assert interfaces.read(work.out) == interfaces.read(folder)
    assert run(work.out, {"batch": 7})["y"].shape == (7, 3)


def test_blow_ups_are_not_stored(tmp_path: Path, works: Callable[[], Work]) -> None:
    folder = clumsy(tmp_path / "model")
    work = works()
    Simplify(fold_limit_bytes=1000).run({"model": folder}, work)
    assert (work.out / "model.onnx").stat().st_size < 10_000


def test_rewrite_that_changes_results_is_rolled_back(
    tmp_path: Path, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = clumsy(tmp_path / "model")

    def broken(model: ir.Model, limit: int) -> ir.Model:
        del limit
        model.graph.initializers["three"].const_value = ir.Tensor(np.array([4], np.float32), name="three")
        return model

    monkeypatch.setattr(simplification, "simplified", broken)
    Simplify().run({"model": folder}, work)
    assert work.notes["simplify"]["applied"] is False
    assert "output 'y' is off by" in work.notes["simplify"]["reason"]
    np.testing.assert_array_equal(run(work.out, {"batch": 2})["y"], run(folder, {"batch": 2})["y"])


def test_rewrite_that_raises_or_freezes_an_axis_is_rolled_back(tmp_path: Path, works: Callable[[], Work]) -> None:
    folder = clumsy(tmp_path / "model")

    def raising(model: ir.Model) -> ir.Model:
        del model
        raise RuntimeError("third party")

    def freezing(model: ir.Model) -> ir.Model:
        model.graph.inputs[0].shape = ir.Shape([1, 3])
        return model

    for rewrite, reason in ((raising, "RuntimeError: third party"), (freezing, "axis 0 (batch) became 1")):
        work = works()
        rewriting.rewrite_checked(folder, work, "step", rewrite, tolerance=1e-4)
        assert reason in work.notes["step"]["reason"]
        assert digest_tree(work.out) == digest_tree(folder)


def test_models_too_large_for_one_protobuf_take_the_other_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxsim

    folder = clumsy(tmp_path / "model")
    monkeypatch.setattr(simplification, "INLINE_LIMIT", 1)
    monkeypatch.setattr(onnxsim, "simplify", None)
    model = load_model(folder / "model.onnx")
    assert operator_count(simplified(model, limit=1000)) < 8


@pytest.mark.heavy
@pytest.mark.parametrize("name", ["cnn", "encoder", "recurrent", "upsampler"])
def test_real_models_never_get_more_nodes(name: str, exported: Callable[[str], Path], work: Work) -> None:
    folder = exported(name)
    Simplify().run({"model": folder}, work)
    before, after = (operator_count(load_model(path / "model.onnx")) for path in (folder, work.out))
    assert after <= before
    assert interfaces.read(work.out) == interfaces.read(folder)
