"""A model that takes seconds to optimize, its data and its recipe, written into a folder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import save_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

FEATURES, HIDDEN, CLASSES = 8, 16, 4
MODEL = '''\
"""Two linear layers."""

import torch
from torch import nn


class Tiny(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.first = nn.Linear(8, 16)
        self.second = nn.Linear(16, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(torch.relu(self.first(x)))


def build(classes: int = 4) -> nn.Module:
    return Tiny(classes)
'''
RECIPE = """\
name: tiny
model:
  factory: model.py:build
  weights: weights.safetensors
  inputs: {x: {dtype: float32, shape: [batch, 8]}}
  outputs: [logits]
  dims: {batch: {min: 1, opt: 4, max: 16}}
data:
  calibration: {dataset: calibration.npz}
  evaluation: {dataset: evaluation.npz}
metrics:
  top1: {kind: accuracy, output: logits}
steps: [export, quantize]
gates:
  top1: {max_drop: 0.1}
measure: {seconds: 0.2, precision: 0.5, threads: 1}
package: {triton: {}}
"""
ONNX_RECIPE = RECIPE.replace(
    RECIPE[RECIPE.index("  factory") : RECIPE.index("data:")],
    "  onnx: model.onnx\n  dims: {batch: {min: 1, opt: 4, max: 16}}\n",
).replace("[export, quantize]", "[simplify, quantize]")


@dataclass(frozen=True)
class Project:
    """A folder with a recipe."""

    folder: Path

    @property
    def recipe(self) -> Path:
        """The recipe file."""
        return self.folder / "recipe.yaml"

    def edit(self, *changes: tuple[str, str], file: str = "recipe.yaml") -> None:
        """Replaces texts in a file; each must stand there."""
        text = (self.folder / file).read_text()
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        (self.folder / file).write_text(text)


def weights() -> dict[str, torch.Tensor]:
    """Returns the tensors of the model, the same ones in every process."""
    random = torch.Generator().manual_seed(7)
    shapes = {
        "first.weight": (HIDDEN, FEATURES),
        "first.bias": (HIDDEN,),
        "second.weight": (CLASSES, HIDDEN),
        "second.bias": (CLASSES,),
    }
    return {name: torch.randn(shape, generator=random) for name, shape in shapes.items()}


def data(seed: int, count: int) -> dict[str, NDArray[np.generic]]:
    """Returns samples that the model classifies without a mistake."""
    x = np.random.default_rng(seed).standard_normal((count, FEATURES)).astype(np.float32)
    tensors = {name: tensor.numpy() for name, tensor in weights().items()}
    hidden = np.maximum(x @ tensors["first.weight"].T + tensors["first.bias"], 0)
    labels = (hidden @ tensors["second.weight"].T + tensors["second.bias"]).argmax(1)
    return {"x": x, "labels": labels.astype(np.int64)}


def write_data(path: Path, arrays: Mapping[str, NDArray[np.generic]]) -> None:
    """Writes an .npz dataset."""
    np.savez(path, **arrays)  # type: ignore[arg-type]  # numpy's stub takes the name of no array for `allow_pickle`


def onnx_model(*, op_type: str = "Relu") -> onnx.ModelProto:
    """Returns the model as an ONNX graph; `op_type` is what stands between its layers."""
    tensors = {name.replace(".", "_"): tensor.numpy() for name, tensor in weights().items()}
    nodes = [
        helper.make_node("Gemm", ["x", "first_weight", "first_bias"], ["a"], "first", transB=1),
        helper.make_node(op_type, ["a"], ["b"], "between"),
        helper.make_node("Gemm", ["b", "second_weight", "second_bias"], ["logits"], "second", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", FEATURES])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", CLASSES])],
        [numpy_helper.from_array(array, name) for name, array in tensors.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def torch_project(folder: Path) -> Project:
    """Writes a project whose model is a PyTorch factory with weights."""
    project = _project(folder, RECIPE)
    (folder / "model.py").write_text(MODEL)
    save_file(weights(), folder / "weights.safetensors")
    return project


def onnx_project(folder: Path) -> Project:
    """Writes a project whose model is an ONNX file: nothing imports torch, so that it runs in a few seconds."""
    project = _project(folder, ONNX_RECIPE)
    onnx.save(onnx_model(), folder / "model.onnx")
    return project


def _project(folder: Path, recipe: str) -> Project:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "recipe.yaml").write_text(recipe)
    write_data(folder / "calibration.npz", data(seed=1, count=32))
    write_data(folder / "evaluation.npz", data(seed=2, count=200))
    return Project(folder)
