from __future__ import annotations

import runpy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from optkit.core import interface as interfaces
from optkit.core.errors import UsageError
from optkit.core.interface import Dim, Interface, Tensor
from optkit.core.passes import Host, Work
from optkit.data.source import load_dataset
from optkit.passes import preparing
from optkit.passes.onnx_step import open_runtime
from optkit.passes.quantize import Quantize
from optkit.passes.simplify import Simplify
from tests.passes.exports import export

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    Dataset = Callable[[Mapping[str, NDArray[Any]]], Path]

FIXTURES = Path(__file__).parents[1] / "fixtures" / "hard_cases"
DATA = FIXTURES.parents[2] / "calibration" / "mnist"
AVX2 = Host(frozenset({"avx2"}), "")


def outliers(folder: Path) -> Path:
    """Writes relu(x @ w + b) @ v whose hidden channels differ by up to 2^10."""
    folder.mkdir()
    random = np.random.default_rng(0)
    factors = (2.0 ** random.integers(-5, 6, 32)).astype(np.float32)
    weights = [
        numpy_helper.from_array(random.standard_normal((16, 32)).astype(np.float32) * factors, "w"),
        numpy_helper.from_array(random.standard_normal((32, 8)).astype(np.float32) / factors[:, None], "v"),
        numpy_helper.from_array(factors, "b"),
    ]
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["product"]),
        helper.make_node("Add", ["product", "b"], ["hidden"]),
        helper.make_node("Relu", ["hidden"], ["active"]),
        helper.make_node("MatMul", ["active", "v"], ["y"]),
    ]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", c]) for n, c in (("x", 16), ("y", 8))]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], weights)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (folder / "model.onnx").write_bytes(proto.SerializeToString())
    tensors = [Tensor(name, "float32", ("batch", size)) for name, size in (("x", 16), ("y", 8))]
    interfaces.write(folder, Interface((tensors[0],), (tensors[1],), {"batch": Dim(1, 4, 8)}))
    return folder


def xs() -> dict[str, NDArray[Any]]:
    return {"x": np.random.default_rng(1).standard_normal((64, 16)).astype(np.float32)}


def sqnr(work: Work) -> float:
    quality = work.notes["quality"]
    assert isinstance(quality, dict)
    return float(quality["y"]["sqnr_db"])


def quantized(options: Quantize, model: Path, data: Path, work: Work) -> Work:
    options.resolve("onnxruntime-cpu", AVX2).run({"model": model, "calibration": data}, work)
    return work


@pytest.mark.parametrize("options", [Quantize(smooth=False), Quantize(equalize=False), Quantize()])
def test_preparation_recovers_unbalanced_channels(
    options: Quantize, tmp_path: Path, works: Callable[[], Work], dataset: Dataset
) -> None:
    model, data = outliers(tmp_path / "model"), dataset(xs())
    plain = quantized(Quantize(equalize=False, smooth=False), model, data, works())
    prepared = quantized(options, model, data, works())
    assert sqnr(plain) < 20
    assert sqnr(prepared) > 25
    assert {"equalized", "smoothed"} & set(prepared.notes)
    assert not {"equalized", "smoothed"} & set(plain.notes)


def test_what_moves_the_outputs_is_rolled_back(
    tmp_path: Path, works: Callable[[], Work], dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparing, "TOLERANCE", -1.0)
    model, data = outliers(tmp_path / "model"), dataset(xs())
    plain = quantized(Quantize(equalize=False, smooth=False), model, data, works())
    work = quantized(Quantize(), model, data, works())
    assert sqnr(work) == sqnr(plain)
    for what in ("equalized", "smoothed"):
        note = work.notes[what]
        assert isinstance(note, dict)
        assert "output 'y' moved by" in note["rolled_back"]


def test_bias_correction_is_kept_only_if_it_helps(tmp_path: Path, works: Callable[[], Work], dataset: Dataset) -> None:
    model, data = outliers(tmp_path / "model"), dataset(xs())
    plain = quantized(Quantize(per_channel=False, bias_correction=False), model, data, works())
    work = quantized(Quantize(per_channel=False), model, data, works())
    note = work.notes["bias_correction"]
    assert isinstance(note, dict)
    assert len(note["layers"]) == 1  # the last product has no place for a bias
    assert note["kept"] == (note["error_after"] < note["error_before"])
    assert note["kept"] == (biases(work.out) != biases(plain.out))


def biases(folder: Path) -> list[str]:
    return [each.name for each in onnx.load(folder / "model.onnx").graph.initializer if "bias" in each.name]


def test_a_mask_must_be_an_input(tmp_path: Path, works: Callable[[], Work], dataset: Dataset) -> None:
    model, data = outliers(tmp_path / "model"), dataset(xs())
    with pytest.raises(UsageError, match="the model has no input 'attention_mask'"):
        quantized(Quantize(mask="attention_mask"), model, data, works())


def accuracy(folder: Path) -> float:
    (batch,) = load_dataset(DATA, "test").batches(1000)
    logits = open_runtime("onnxruntime", folder).run(batch.inputs)["logits"]
    return float((logits.argmax(axis=1) == batch.labels).mean())


@pytest.mark.heavy
@pytest.mark.parametrize("name", ["unbalanced_cnn", "outlier_vit"])
def test_hard_cases_keep_their_accuracy_by_default(
    name: str, tmp_path: Path, works: Callable[[], Work], dataset: Dataset
) -> None:
    build = runpy.run_path(str(FIXTURES / "build.py"))
    exported, simple = works(), works()
    export(build[name](tmp_path / "source"), exported)
    Simplify().run({"model": exported.out}, simple)
    (batch,) = load_dataset(DATA, "calibration").batches(1000)
    data = dataset({"image": batch.inputs["image"][:128]})
    plain, prepared = works(), works()
    quantized(Quantize(equalize=False, smooth=False), simple.out, data, plain)
    quantized(Quantize(), simple.out, data, prepared)
    reference = accuracy(simple.out)
    assert reference > 0.97
    assert accuracy(plain.out) < reference - 0.1
    assert accuracy(prepared.out) >= reference - 0.005
