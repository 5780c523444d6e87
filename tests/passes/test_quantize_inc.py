from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from optkit.core.errors import MissingDependency, StepFailed, UsageError
from optkit.core.passes import Host, Work
from optkit.passes import quantizing_inc
from optkit.passes.quantize_inc import QuantizeInc
from tests.passes.conftest import EXAMPLES, torch_source

Dataset = Callable[[Mapping[str, NDArray[Any]]], Path]
Exported = Callable[[str], Path]
TARGET = "onnxruntime-cpu"


@pytest.fixture
def images(dataset: Dataset) -> Path:
    """Returns calibration data of the network `cnn`; its last batch is ragged."""
    return dataset({"image": np.random.default_rng(0).standard_normal((21, 1, 16, 16)).astype(np.float32)})


def inputs_of(name: str, exported: Exported, data: Path, folder: Path) -> dict[str, Path]:
    return {
        "model": exported(name),
        "original": torch_source(folder / "original", EXAMPLES[name]),
        "calibration": data,
    }


def run(do: QuantizeInc, inputs: Mapping[str, Path], folder: Path) -> tuple[Path, dict[str, Any]]:
    work = Work(folder / "out", folder / "scratch")
    for each in (work.out, work.scratch):
        each.mkdir(parents=True)
    do.resolve(do.target or TARGET, Host(frozenset(), "any")).run(inputs, work)
    return work.out / "model.onnx", work.notes


def needs_library() -> None:
    pytest.importorskip("neural_compressor", reason="optkit[inc] is not installed")


@pytest.mark.heavy
def test_weights_are_int8_and_the_batch_stays_dynamic(images: Path, exported: Exported, tmp_path: Path) -> None:
    needs_library()
    inputs = inputs_of("cnn", exported, images, tmp_path)
    path, notes = run(QuantizeInc(), inputs, tmp_path)
    model = onnx.load(path)
    operators = Counter(node.op_type for node in model.graph.node)
    assert operators["QuantizeLinear"]
    assert operators["DequantizeLinear"] > operators["QuantizeLinear"]
    weights = [numpy_helper.to_array(each) for each in model.graph.initializer if len(each.dims) > 1]
    assert {weight.dtype.name for weight in weights} == {"int8"}
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    assert any(int8 for int8, _ in notes["int8_nodes"].values())
    assert notes["quality"]["logits"]["cosine"] > 0.97
    assert json.loads((path.parent / "model.json").read_text()) == json.loads(
        (inputs["model"] / "model.json").read_text()
    )


@pytest.mark.heavy
def test_a_module_can_stay_float(images: Path, exported: Exported, tmp_path: Path) -> None:
    needs_library()
    inputs = inputs_of("cnn", exported, images, tmp_path)
    from optkit.runtimes.torch_model import load_module

    linear = [name for name, part in load_module(inputs["original"]).named_modules() if "Linear" in type(part).__name__]
    path, _ = run(QuantizeInc(keep=tuple(linear), ranges="kl"), inputs, tmp_path)
    weights = [each for each in onnx.load(path).graph.initializer if len(each.dims) > 1]
    assert sum(numpy_helper.to_array(each).dtype == np.float32 for each in weights) == len(linear) > 0


@pytest.mark.heavy
def test_a_module_that_does_not_exist_is_not_kept(images: Path, exported: Exported, tmp_path: Path) -> None:
    needs_library()
    inputs = inputs_of("cnn", exported, images, tmp_path)
    with pytest.raises(UsageError, match="keep names the module 'hed', which the model does not have"):
        run(QuantizeInc(keep=("hed",)), inputs, tmp_path)


def test_a_target_that_wants_symmetric_numbers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match="asymmetric uint8 activations, which tensorrt does not take\nuse the `quantize`"
    ):
        run(QuantizeInc(target="tensorrt"), {}, tmp_path)


def test_a_missing_library_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantizing_inc, "find_spec", lambda _name: None)
    with pytest.raises(MissingDependency, match=r"neural_compressor and torchao\npip install 'optkit\[inc\]'"):
        run(QuantizeInc(), {}, tmp_path)


@pytest.mark.heavy
def test_a_model_without_layers_says_so(dataset: Dataset, tmp_path: Path) -> None:
    needs_library()
    from optkit.core import interface as interfaces
    from optkit.core.interface import Dim, Interface, Tensor

    code = tmp_path / "original" / "code"
    code.mkdir(parents=True)
    (code / "model.py").write_text(
        "import torch\n\n\nclass Sine(torch.nn.Module):\n    def forward(self, x):\n        return x.sin()\n"
    )
    x, y = (Tensor(name, "float32", ("batch", 4)) for name in "xy")
    interface = Interface((x,), (y,), {"batch": Dim(1, 4, 8)})
    interfaces.write(code.parent, interface, factory="model.py:Sine", arguments={}, weights=None)
    shutil.copytree(code.parent, tmp_path / "model")
    data = dataset({"x": np.random.default_rng(0).standard_normal((16, 4)).astype(np.float32)})
    with pytest.raises(StepFailed, match="nothing to quantize: Neural Compressor placed no observer"):
        run(
            QuantizeInc(),
            {"model": tmp_path / "model", "original": code.parent, "calibration": data},
            tmp_path,
        )
