from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx.parser
import onnx_ir as ir
import onnxruntime
import pytest

from optkit.graph.save import to_proto
from optkit.graph.shapes import name_nodes, refresh_shapes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray


def parsed(text: str, opset: int = 17) -> ir.Model:
    header = f'<ir_version: 9, opset_import: ["" : {opset}]>'
    model: ir.Model = ir.from_proto(onnx.parser.parse_model(f"{header} {text}"))
    name_nodes(model)
    refresh_shapes(model)
    return model


def run(model: ir.Model, inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        to_proto(model).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return [np.asarray(output) for output in session.run(None, dict(inputs))]


@pytest.fixture
def parse() -> Callable[..., ir.Model]:
    return parsed


@pytest.fixture
def answers() -> Callable[[ir.Model, Mapping[str, NDArray[Any]]], list[NDArray[Any]]]:
    return run
