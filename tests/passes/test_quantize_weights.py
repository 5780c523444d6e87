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
from optkit.passes.quantize_weights import QuantizeWeights
from optkit.runtimes.table import RUNTIMES

Works = Callable[[], Work]
Dataset = Callable[[Mapping[str, NDArray[Any]]], Path]
Samples = Callable[..., dict[str, NDArray[Any]]]
Exported = Callable[[str], Path]
CPU = QuantizeWeights().resolve("onnxruntime-cpu", Host(frozenset(), ""))
GPU = QuantizeWeights().resolve("tensorrt", Host(frozenset(), ""))
DEPTH, HIDDEN, WORDS = 70, 64, 40


def constant(name: str, *shape: int, seed: int = 0) -> onnx.TensorProto:
    array = np.random.default_rng(seed).standard_normal(shape) / np.sqrt(shape[0])
    return numpy_helper.from_array(array.astype(np.float32), name)


def mlp(folder: Path, *, opset: int = 18) -> Path:
    """Writes embedding + three products: a MatMul, a Gemm with a stored transpose and a bias, a MatMul behind one."""
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["words"], "embed"),
        helper.make_node("MatMul", ["words", "w1"], ["a"], "first"),
        helper.make_node("Relu", ["a"], ["b"], "between"),
        helper.make_node("ReduceMax", ["b", "axis"], ["pooled"], "pool", keepdims=0),
        helper.make_node("Gemm", ["pooled", "w2", "bias"], ["c"], "second", transB=1),
        helper.make_node("Transpose", ["w3"], ["w3t"], "turn", perm=[1, 0]),
        helper.make_node("MatMul", ["c", "w3t"], ["logits"], "head"),
    ]
    weights = [
        constant("table", WORDS, HIDDEN), constant("w1", HIDDEN, DEPTH, seed=1), constant("w2", HIDDEN, DEPTH, seed=2),
        constant("bias", HIDDEN, seed=3), constant("w3", 5, HIDDEN, seed=4),
        numpy_helper.from_array(np.array([1]), "axis"),
    ]  # fmt: skip
    ends = [
        helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", "seq"]),
        helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 5]),
    ]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], weights)
    return written(folder, helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8))


def written(folder: Path, proto: onnx.ModelProto) -> Path:
    folder.mkdir()
    (folder / "model.onnx").write_bytes(proto.SerializeToString())
    ids = Tensor("ids", "int64", ("batch", "seq"), (0, WORDS - 1))
    outputs = (Tensor("logits", "float32", ("batch", 5)),)
    interfaces.write(folder, Interface((ids,), outputs, {"batch": Dim(1, 4, 8), "seq": Dim(1, 6, 9)}))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return mlp(tmp_path / "mlp")


def operators(folder: Path) -> list[str]:
    return [node.op_type for node in onnx.load(folder / "model.onnx").graph.node]


def weights(folder: Path) -> dict[str, onnx.TensorProto]:
    return {tensor.name: tensor for tensor in onnx.load(folder / "model.onnx").graph.initializer}


def run(folder: Path, seed: int = 0) -> NDArray[Any]:
    interface = interfaces.read(folder)
    return (
        RUNTIMES["onnxruntime"].open(folder, 1).run(made_up_inputs(interface, interface.sizes("opt"), seed))["logits"]
    )


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("form", ["matmulnbits", "qdq"])
@pytest.mark.parametrize("bits", [4, 8])
def test_results_stay_close(
    bits: Literal[4, 8],
    form: Literal["matmulnbits", "qdq"],
    symmetric: bool,  # noqa: FBT001  # parametrized
    folder: Path,
    work: Work,
) -> None:
    do = replace(CPU, bits=bits, form=form, symmetric=symmetric, int8_products=False)
    do.run({"model": folder}, work)
    expected = run(folder)
    assert np.abs(run(work.out) - expected).max() < (0.01 if bits == 8 else 0.15) * np.abs(expected).max()
    assert {note["node"] for note in work.notes["weights"]} == {"first", "second", "head"}
    assert work.notes["left"] == {}
    assert work.notes["quality"]["logits"]["sqnr_db"] > (40 if bits == 8 else 15)
    assert interfaces.read(work.out) == interfaces.read(folder)


def test_cpu_gets_its_own_operator(folder: Path, work: Work) -> None:
    CPU.run({"model": folder}, work)
    assert operators(work.out) == ["Gather", "MatMulNBits", "Relu", "ReduceMax", "MatMulNBits", "Add", "MatMulNBits"]
    assert {"table", "bias", "axis"} < set(weights(work.out))
    assert not {"w1", "w2", "w3"} & set(weights(work.out))
    before, after = work.notes["weight_bytes"]
    assert after < 0.55 * before  # the table stays float


def test_other_targets_get_a_blocked_dequantization(folder: Path, work: Work) -> None:
    replace(GPU, bits=4).run({"model": folder}, work)
    model = onnx.load(work.out / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert operators(work.out).count("DequantizeLinear") == 3
    assert {item.domain: item.version for item in model.opset_import} == {"": 21}
    assert model.ir_version >= 10
    kinds = {name: tensor.data_type for name, tensor in weights(work.out).items() if name.endswith("_q4")}
    assert set(kinds.values()) == {TensorProto.INT4}
    assert sorted(kinds) == ["w1_q4", "w2_transposed_q4", "w3_transposed_q4"]


def test_codes_stand_for_the_weights_without_the_runtimes_optimiser(folder: Path, work: Work) -> None:
    replace(GPU, symmetric=False, target="openvino-cpu").run({"model": folder}, work)
    scale, zero, codes = (numpy_helper.to_array(weights(work.out)[f"w1_{key}"]) for key in ("scales", "zeros", "q8"))
    rows = np.arange(HIDDEN) // 32
    values = (codes.astype(np.float32) - zero[rows]) * scale[rows]
    np.testing.assert_allclose(values, numpy_helper.to_array(weights(folder)["w1"]), atol=0.003)


def test_what_is_kept_and_why(folder: Path, works: Works) -> None:
    kept, last, wide = works(), works(), works()
    replace(CPU, keep=("fir*",)).run({"model": folder}, kept)
    replace(CPU, last_layer=False).run({"model": folder}, last)
    assert kept.notes["left"] == {"first": "kept by 'fir*'"}
    assert last.notes["left"] == {"head": "it is a last layer"}
    assert "w1" in weights(kept.out)
    with pytest.raises(StepFailed, match=r"no weight to quantize: .*sums over 64 weights, fewer than a block of 128"):
        replace(CPU, block=128).run({"model": folder}, wide)


@pytest.mark.heavy
def test_convolutions_stay(exported: Exported, work: Work) -> None:
    CPU.run({"model": exported("cnn")}, work)
    assert [note["shape"] for note in work.notes["weights"]] == [[256, 10]]
    assert operators(work.out).count("Conv") == 2


def test_a_table_that_is_also_a_head_is_not_stored_twice(folder: Path, tmp_path: Path, work: Work) -> None:
    proto = onnx.load(folder / "model.onnx")
    proto.graph.node[5].input[0] = "table"
    proto.graph.output[0].type.tensor_type.shape.dim[1].dim_value = WORDS
    tied = written(tmp_path / "tied", proto)
    outputs = (Tensor("logits", "float32", ("batch", WORDS)),)
    interfaces.write(tied, replace(interfaces.read(tied), outputs=outputs))
    replace(CPU, embeddings=True).run({"model": tied}, work)
    assert "stored twice" in work.notes["left"]["head"]
    assert "GatherBlockQuantized" not in operators(work.out)


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("bits", [4, 8])
def test_embeddings(bits: Literal[4, 8], symmetric: bool, folder: Path, work: Work) -> None:  # noqa: FBT001  # parametrized
    replace(CPU, bits=bits, symmetric=symmetric, embeddings=True).run({"model": folder}, work)
    assert "GatherBlockQuantized" in operators(work.out)
    assert "table" not in weights(work.out)
    expected = run(folder)
    assert np.abs(run(work.out) - expected).max() < 0.2 * np.abs(expected).max()


def attributes(folder: Path) -> dict[str, int]:
    node = next(node for node in onnx.load(folder / "model.onnx").graph.node if node.op_type == "MatMulNBits")
    return {attribute.name: attribute.i for attribute in node.attribute}


def test_int8_products_are_asked_for_unless_refused(folder: Path, works: Works) -> None:
    default, refused = works(), works()
    CPU.run({"model": folder}, default)
    replace(CPU, int8_products=False).run({"model": folder}, refused)
    assert attributes(default.out)["accuracy_level"] == 4
    assert "accuracy_level" not in attributes(refused.out)
    assert refused.notes["quality"]["logits"]["sqnr_db"] > default.notes["quality"]["logits"]["sqnr_db"] > 30
    assert not GPU.int8_products


def test_gptq_beats_rounding(folder: Path, works: Works, dataset: Dataset) -> None:
    data = dataset({"ids": np.random.default_rng(0).integers(0, WORDS, (64, 6))})
    rtn, gptq = works(), works()
    exact = replace(CPU, bits=4, int8_products=False)
    exact.run({"model": folder}, rtn)
    replace(exact, method="gptq").run({"model": folder, "calibration": data}, gptq)
    noise = [np.square(run(work.out, seed=9) - run(folder, seed=9)).sum() for work in (rtn, gptq)]
    assert noise[1] < 0.8 * noise[0]


def test_gptq_in_several_rounds_gives_the_same(
    folder: Path, works: Works, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = {"model": folder, "calibration": dataset({"ids": np.random.default_rng(0).integers(0, WORDS, (16, 6))})}
    whole, parts = works(), works()
    replace(CPU, method="gptq").run(inputs, whole)
    monkeypatch.setattr("optkit.passes.correcting.BUDGET", 1)
    replace(CPU, method="gptq").run(inputs, parts)
    assert (whole.out / "model.onnx").read_bytes() == (parts.out / "model.onnx").read_bytes()


def test_only_gptq_reads_calibration_data() -> None:
    assert CPU.active_roles() == {"model"}
    assert replace(CPU, method="gptq").active_roles() == {"model", "calibration"}


def test_the_target_decides_the_form() -> None:
    assert (CPU.form, GPU.form) == ("matmulnbits", "qdq")
    assert QuantizeWeights(form="qdq").resolve("onnxruntime-cpu", Host(frozenset(), "")).form == "qdq"


@pytest.mark.parametrize(
    ("do", "message"),
    [
        (replace(GPU, symmetric=False), "symmetric"),
        (replace(GPU, embeddings=True), "ONNX Runtime's operators"),
        (replace(CPU, form="qdq", int8_products=True), "ONNX Runtime's operators"),
    ],
)
def test_options_that_do_not_fit(do: QuantizeWeights, message: str, folder: Path, work: Work) -> None:
    with pytest.raises(UsageError, match=message):
        do.run({"model": folder}, work)


def test_a_broken_weight_is_named(folder: Path, tmp_path: Path, work: Work) -> None:
    proto = onnx.load(folder / "model.onnx")
    proto.graph.initializer[2].CopyFrom(numpy_helper.from_array(np.full((HIDDEN, DEPTH), np.nan, np.float32), "w2"))
    with pytest.raises(UsageError, match="weight w2 holds NaN"):
        CPU.run({"model": written(tmp_path / "broken", proto)}, work)


def test_an_old_operator_set_is_upgraded_and_a_new_one_left(tmp_path: Path, work: Work) -> None:
    GPU.run({"model": mlp(tmp_path / "new", opset=22)}, work)
    assert onnx.load(work.out / "model.onnx").opset_import[0].version == 22
