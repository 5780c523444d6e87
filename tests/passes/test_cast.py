from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from optkit.core import interface as interfaces
from optkit.core.errors import StepFailed, UsageError
from optkit.core.interface import Dim, Interface, Tensor
from optkit.core.passes import Host, Work
from optkit.measure.feeding import made_up_inputs
from optkit.passes.cast import FLOAT_OPERATORS, Cast
from optkit.passes.quantize_weights import QuantizeWeights
from optkit.runtimes.table import RUNTIMES

Works = Callable[[], Work]
Dataset = Callable[[Mapping[str, NDArray[Any]]], Path]
Exported = Callable[[str], Path]
HOST = Host(frozenset(), "")
HALF = Cast().resolve("onnxruntime-cpu", HOST)
BRAIN = Cast(to="bfloat16").resolve("tensorrt", HOST)
WIDTH = 64


def network(folder: Path, *, gain: float = 1.0, opset: int = 18) -> Path:
    """Writes a convolution, a normalisation of its channels written out, and a head; `gain` makes its values large."""
    random = np.random.default_rng(0)

    def normal(*shape: int) -> NDArray[Any]:
        array: NDArray[Any] = random.standard_normal(shape) / np.sqrt(shape[-1])
        return array.astype(np.float32)

    weights = {
        "kernel": normal(8, 1, 3, 3), "gain": np.array(gain, np.float32), "less": np.array(1 / gain, np.float32),
        "tiny": np.array(1e-12, np.float32), "w": normal(8 * WIDTH, 10), "axes": np.array([1]),
        "flat": np.array([0, -1]),
    }  # fmt: skip
    node = helper.make_node
    nodes = [
        node("Conv", ["image", "kernel"], ["c"], "conv", pads=[1, 1, 1, 1]),
        node("Mul", ["c", "gain"], ["large"], "gain"),
        node("Relu", ["large"], ["active"], "relu"),
        node("Mul", ["active", "less"], ["a"], "less"),
        node("Mul", ["a", "a"], ["square"], "square"),
        node("ReduceMean", ["square", "axes"], ["mean"], "mean"),
        node("Add", ["mean", "tiny"], ["safe"], "safe"),
        node("Sqrt", ["safe"], ["root"], "root"),
        node("Add", ["root", "root"], ["twice"], "twice"),
        node("Sub", ["a", "twice"], ["n"], "norm"),
        node("Reshape", ["n", "flat"], ["f"], "flatten"),
        node("MatMul", ["f", "w"], ["logits"], "head"),
    ]
    ends = [
        helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 1, 8, 8]),
        helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 10]),
    ]
    tensors = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], tensors)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    folder.mkdir()
    (folder / "model.onnx").write_bytes(proto.SerializeToString())
    image = Tensor("image", "float32", ("batch", 1, 8, 8))
    interface = Interface((image,), (Tensor("logits", "float32", ("batch", 10)),), {"batch": Dim(1, 4, 8)})
    interfaces.write(folder, interface)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return network(tmp_path / "network")


def run(folder: Path) -> NDArray[Any]:
    interface = interfaces.read(folder)
    return RUNTIMES["onnxruntime"].open(folder, 1).run(made_up_inputs(interface, interface.sizes("opt"), 3))["logits"]


def types(folder: Path) -> set[int]:
    return {tensor.data_type for tensor in onnx.load(folder / "model.onnx").graph.initializer}


def test_weights_are_half_and_results_close(folder: Path, work: Work) -> None:
    HALF.run({"model": folder}, work)
    assert interfaces.read(work.out) == interfaces.read(folder)
    np.testing.assert_allclose(run(work.out), run(folder), atol=0.01 * np.abs(run(folder)).max())
    note = work.notes["cast"]
    assert note["weight_bytes"][1] < 0.55 * note["weight_bytes"][0]
    assert note["parity"]["worst"]["relative_to_scale"] < 0.01
    assert note["kept"] == {
        "mean": "ReduceMean is kept in float32",
        "safe": "constant tiny vanishes in float16",
        "root": "Sqrt is kept in float32",
    }
    assert note["onnxruntime"]["casts"] > 0


def test_bfloat16_for_a_target_that_has_it(folder: Path, work: Work) -> None:
    BRAIN.run({"model": folder}, work)
    model = onnx.load(work.out / "model.onnx")
    assert TensorProto.BFLOAT16 in types(work.out)
    assert "conv" not in work.notes["cast"]["kept"]
    assert model.opset_import[0].version == 22
    assert work.notes["cast"]["parity"]["worst"]["relative_to_scale"] < 0.08
    assert interfaces.read(work.out) == interfaces.read(folder)


def test_values_that_would_overflow_stay_float(tmp_path: Path, work: Work) -> None:
    HALF.run({"model": network(tmp_path / "large", gain=3e4)}, work)
    reasons = work.notes["cast"]["kept"]
    assert {"gain", "relu", "less"} <= set(reasons)
    assert "near or beyond the range of float16" in reasons["relu"]
    assert "conv" not in reasons


def test_calibration_data_shows_larger_values(folder: Path, works: Works, dataset: Dataset) -> None:
    data = dataset({"image": np.full((8, 1, 8, 8), 2e3, np.float32)})
    without, given = works(), works()
    HALF.run({"model": folder}, without)
    HALF.run({"model": folder, "calibration": data}, given)
    assert "square" not in without.notes["cast"]["kept"]
    assert "near or beyond the range" in given.notes["cast"]["kept"]["square"]
    assert "conv" not in given.notes["cast"]["kept"]


def test_overflow_is_never_handed_out(tmp_path: Path, work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if nothing had seen the large values coming, and although ONNX Runtime would not overflow here."""
    monkeypatch.setattr("optkit.passes.casting._peaks", lambda *_: {})
    with pytest.raises(StepFailed, match=r"float16 loses too much: output 'logits' is off by inf") as caught:
        HALF.run({"model": network(tmp_path / "large", gain=6e4)}, work)
    assert "keep" in caught.value.hint
    assert not list(work.out.iterdir())


def test_the_tolerance_is_the_users(folder: Path, work: Work) -> None:
    with pytest.raises(StepFailed, match="the tolerance is 1e-07"):
        replace(HALF, tolerance=1e-7).run({"model": folder}, work)


def test_patterns_and_operators(folder: Path, works: Works) -> None:
    named, listed = works(), works()
    replace(HALF, keep=("he*",)).run({"model": folder}, named)
    replace(HALF, float_operators=("Conv",)).run({"model": folder}, listed)
    assert named.notes["cast"]["kept"]["head"] == "kept by 'he*'"
    assert listed.notes["cast"]["reasons"]["Conv is kept in float32"] == 1
    with pytest.raises(StepFailed, match="no node can run in float16"):
        replace(HALF, keep=("*",)).run({"model": folder}, works())


def test_inputs_and_outputs_may_become_half(folder: Path, work: Work) -> None:
    replace(HALF, keep_io=False).run({"model": folder}, work)
    interface = interfaces.read(work.out)
    assert {tensor.dtype for tensor in (*interface.inputs, *interface.outputs)} == {"float16"}
    assert run(work.out).dtype == np.float16


@pytest.mark.parametrize(
    ("do", "message"),
    [
        (replace(BRAIN, target="onnxruntime-cpu"), "no bfloat16 kernels"),
        (replace(BRAIN, keep_io=False), "numpy has no bfloat16"),
    ],
)
def test_what_cannot_run_is_refused(do: Cast, message: str, folder: Path, work: Work) -> None:
    with pytest.raises(UsageError, match=message):
        do.run({"model": folder}, work)


def test_defaults_depend_on_the_precision() -> None:
    assert (HALF.tolerance, BRAIN.tolerance, HALF.target) == (0.01, 0.08, "onnxruntime-cpu")
    assert Cast(tolerance=0.5).resolve("tensorrt", HOST).tolerance == 0.5
    assert list(FLOAT_OPERATORS) == sorted(FLOAT_OPERATORS)


def test_mixed_with_weights_in_blocks(folder: Path, works: Works) -> None:
    blocks, half = works(), works()
    QuantizeWeights().resolve("onnxruntime-cpu", HOST).run({"model": folder}, blocks)
    HALF.run({"model": blocks.out}, half)
    np.testing.assert_allclose(run(half.out), run(folder), atol=0.03 * np.abs(run(folder)).max())
    assert "head" not in half.notes["cast"]["kept"]


@pytest.mark.heavy
@pytest.mark.parametrize("name", ["cnn", "encoder", "recurrent", "upsampler"])
@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_exported_models(name: str, kind: Literal["float16", "bfloat16"], exported: Exported, work: Work) -> None:
    do = HALF if kind == "float16" else BRAIN
    do.run({"model": exported(name)}, work)
    assert work.notes["cast"]["half_nodes"] > 0
    assert interfaces.read(work.out) == interfaces.read(exported(name))
    before, after = work.notes["cast"]["weight_bytes"]
    assert after < 0.6 * before or (name, kind) == ("recurrent", "bfloat16")
