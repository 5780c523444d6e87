"""Small graphs to build engines from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnx.parser

from optkit.core import interface as interfaces
from optkit.core.interface import Dim, Interface, Tensor

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

DIMS = {"batch": Dim(1, 4, 16)}
SIZE = 16
FLOAT = (
    f"g (float[batch,{SIZE}] x) => (float[batch,{SIZE}] y) <float[{SIZE},{SIZE}] w> {{ p = MatMul(x, w) y = Relu(p) }}"
)
HALF = (
    f"g (float[batch,{SIZE}] x) => (float[batch,{SIZE}] y) <float16[{SIZE},{SIZE}] w> "
    "{ h = Cast<to=10>(x) p = MatMul(h, w) y = Cast<to=1>(p) }"
)
INT8 = (
    f"g (float[batch,{SIZE}] x) => (float[batch,{SIZE}] y) "
    f"<float s = {{0.1}}, int8 z = {{0}}, int8[{SIZE},{SIZE}] w> "
    "{ q = QuantizeLinear(x, s, z) a = DequantizeLinear(q, s, z) b = DequantizeLinear(w, s, z) y = MatMul(a, b) }"
)


def proto(text: str, opset: int = 20) -> onnx.ModelProto:
    """Parses a graph; weights are declared like `<float[2,2] w>` and drawn; a node without a name gets one."""
    head = f'<ir_version: 10, opset_import: ["": {opset}, "com.microsoft": 1]>\n'
    model = onnx.parser.parse_model(head + text)
    random = np.random.default_rng(0)
    for weight in model.graph.initializer:  # as raw bytes, as every exporter writes them
        weight.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(weight), weight.name))
    for value in model.graph.value_info:
        tensor = value.type.tensor_type
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
        drawn = random.integers(-4, 5, [dim.dim_value for dim in tensor.shape.dim]).astype(dtype)
        model.graph.initializer.append(onnx.numpy_helper.from_array(drawn, value.name))
    del model.graph.value_info[:]
    for index, node in enumerate(model.graph.node):
        node.name = node.name or f"n{index}"
    return model


def artifact(
    folder: Path, text: str, dims: Mapping[str, Dim] = DIMS, *, external: bool = False, opset: int = 20
) -> Path:
    """Writes an `onnx` artifact of the graph, whose input is x and whose output is y."""
    folder.mkdir(parents=True, exist_ok=True)
    model = proto(text, opset)
    onnx.save(
        model, folder / "model.onnx", save_as_external_data=external, location="model.onnx.data", size_threshold=0
    )
    ends = [
        Tensor(value.name, "float32", tuple(dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim))
        for value in (*model.graph.input, *model.graph.output)
    ]
    interfaces.write(folder, Interface((ends[0],), tuple(ends[1:]), dims))
    return folder
