"""Predictions and models, written to disk as the real ones are."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from optkit.core import interface
from optkit.core.interface import Dim, Interface, Tensor
from optkit.measure.predictions import Predictions, PredictionsWriter, read_predictions

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray


class MakePredictions(Protocol):
    def __call__(self, scores: ArrayLike | Sequence[NDArray[Any]], labels: ArrayLike | None = ...) -> Predictions: ...


class MakeMlp(Protocol):
    def __call__(self, name: str, width: int = ..., noise: float = ..., batch: Dim | None = ...) -> Path: ...


@pytest.fixture
def predictions(tmp_path: Path) -> MakePredictions:
    """Returns predictions with one output called `y`."""
    numbers = itertools.count()

    def make(scores: ArrayLike | Sequence[NDArray[Any]], labels: ArrayLike | None = None) -> Predictions:
        folder = tmp_path / f"predictions{next(numbers)}"
        folder.mkdir()
        with PredictionsWriter(folder, ["y"], labels=labels is not None) as writer:
            for index, score in enumerate(scores):  # type: ignore[arg-type]  # rows of an array or arrays of a list
                label = None if labels is None else np.asarray(labels)[index : index + 1]
                writer.add({"y": np.asarray(score)[None]}, label)
        return read_predictions(folder)

    return make


@pytest.fixture
def mlp(tmp_path: Path) -> MakeMlp:
    """Writes an `onnx` artifact x (batch, 8) → MatMul → Relu → MatMul → y (batch, 4), with noise on its weights."""

    def make(name: str, width: int = 16, noise: float = 0.0, batch: Dim | None = None) -> Path:
        random = np.random.default_rng(0)
        weights = {"a": random.normal(size=(8, width)), "b": random.normal(size=(width, 4))}
        extra = np.random.default_rng(1)
        noisy = {key: value + noise * extra.normal(size=value.shape) for key, value in weights.items()}
        graph = helper.make_graph(
            [
                helper.make_node("MatMul", ["x", "a"], ["h"]),
                helper.make_node("Relu", ["h"], ["r"]),
                helper.make_node("MatMul", ["r", "b"], ["y"]),
            ],
            "mlp",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 8])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 4])],
            [numpy_helper.from_array(value.astype(np.float32), key) for key, value in noisy.items()],
        )
        folder = tmp_path / name
        folder.mkdir()
        opset = [helper.make_opsetid("", 20)]
        onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), folder / "model.onnx")
        tensors = (Tensor("x", "float32", ("batch", 8)),), (Tensor("y", "float32", ("batch", 4)),)
        interface.write(folder, Interface(*tensors, {"batch": batch or Dim(1, 4, 8)}))
        return folder

    return make
