"""The models and data of the benchmarks, made by seeded code: `python models.py NAME FOLDER` writes one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))


class Bottleneck(nn.Module):
    """The residual block of ResNet-50 (He et al., arXiv 1512.03385), with the stride on its 3x3 convolution."""

    def __init__(self, into: int, width: int, stride: int) -> None:
        super().__init__()
        out = 4 * width
        self.body = nn.Sequential(
            nn.Conv2d(into, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, out, 1, bias=False), nn.BatchNorm2d(out),
        )  # fmt: skip
        same = stride == 1 and into == out
        self.skip = (
            nn.Identity() if same else nn.Sequential(nn.Conv2d(into, out, 1, stride, bias=False), nn.BatchNorm2d(out))
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Returns float32[batch, 4 · width, height / stride, width / stride]."""
        return torch.relu(self.body(x) + self.skip(x))


class ResNet50(nn.Module):
    """ResNet-50 for 1000 classes."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)
        )
        blocks, into = [], 64
        for width, count, stride in STAGES:
            for index in range(count):
                blocks.append(Bottleneck(into, width, stride if index == 0 else 1))
                into = 4 * width
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(into, 1000))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Returns float32[batch, 1000]."""
        return self.head(self.blocks(self.stem(image)))  # type: ignore[no-any-return]


def resnet50() -> ResNet50:
    """Returns random weights that do not degenerate: BatchNorm has seen what it normalises."""
    torch.manual_seed(0)
    model = ResNet50().train()
    with torch.no_grad():
        for norm in (each for each in model.modules() if isinstance(each, nn.BatchNorm2d)):
            norm.weight.uniform_(0.5, 1.5)
            norm.bias.uniform_(-0.3, 0.3)
        for _ in range(8):
            model(torch.randn(4, 3, 96, 96))
    return model.eval()


def build() -> ResNet50:
    """The factory that a recipe names."""
    return resnet50()


def write_resnet50(folder: Path) -> None:
    """Writes `model.onnx` with a dynamic batch."""
    batch = torch.export.Dim("batch", min=1, max=32)
    torch.onnx.export(
        resnet50(), (torch.randn(2, 3, 224, 224),), folder / "model.onnx", dynamo=True, external_data=False,
        dynamic_shapes=({0: batch},), input_names=["image"], output_names=["logits"], verbose=False,
    )  # fmt: skip


def write_images(folder: Path, count: int) -> None:
    """Writes `images.npz`: smooth noise, float32[count, 3, 224, 224], batch by batch the same for every count."""
    random = np.random.default_rng(0)
    coarse = random.standard_normal((count, 3, 28, 28)).astype(np.float32)
    np.savez(folder / "images.npz", image=coarse.repeat(8, axis=2).repeat(8, axis=3))


def write_deep(folder: Path, nodes: int = 4000) -> None:
    """Writes `model.onnx`: a chain of Conv, Relu, Add, Relu, four nodes a link."""
    random = np.random.default_rng(0)
    chain, weights, value = [], [], "x"
    for link in range(nodes // 4):
        weight = (random.standard_normal((8, 8, 1, 1)) / 16).astype(np.float32)
        weights.append(numpy_helper.from_array(weight, f"w{link}"))
        chain += [
            helper.make_node("Conv", [value, f"w{link}"], [f"c{link}"], f"conv{link}"),
            helper.make_node("Relu", [f"c{link}"], [f"r{link}"], f"relu{link}"),
            helper.make_node("Add", [f"r{link}", value], [f"a{link}"], f"add{link}"),
            helper.make_node("Relu", [f"a{link}"], [f"y{link}"], f"out{link}"),
        ]
        value = f"y{link}"
    _save(folder, _graph(chain, [1, 8, 4, 4], value, weights))


def write_large(folder: Path, size: float = 2.3e9) -> None:
    """Writes `model.onnx` and its external data: matrix products of 4096 x 4096, of `size` bytes in all."""
    random = np.random.default_rng(0)
    side = 4096
    block = (random.standard_normal((side, side)) / side**0.5).astype(np.float32)
    count = round(size / block.nbytes)
    weights = [numpy_helper.from_array(np.roll(block, index, axis=0), f"w{index}") for index in range(count)]
    nodes = []
    for index in range(count):
        source = "x" if index == 0 else f"r{index - 1}"
        nodes += [
            helper.make_node("MatMul", [source, f"w{index}"], [f"m{index}"], f"product{index}"),
            helper.make_node("Relu", [f"m{index}"], [f"r{index}"], f"relu{index}"),
        ]
    _save(folder, _graph(nodes, ["batch", side], f"r{count - 1}", weights))


def write_clumsy(folder: Path, size: float = 2.3e9) -> None:
    """Writes `model.onnx` and its external data: layers as an exporter leaves them, of `size` bytes in all.

    Each reshapes by sizes that it computes from its input, casts there and back, and copies: ten nodes, of which two
    are needed.
    """
    random = np.random.default_rng(0)
    side = 4096
    block = (random.standard_normal((side, side)) / side**0.5).astype(np.float32)
    count = round(size / block.nbytes)
    weights = [numpy_helper.from_array(np.roll(block, index, axis=0), f"w{index}") for index in range(count)]
    weights += [numpy_helper.from_array(np.array(value), name) for name, value in (("first", 0), ("width", [side]))]
    weights.append(numpy_helper.from_array(np.array([0]), "axis"))
    nodes = [node for index in range(count) for node in _layer(index, "x" if index == 0 else f"r{index - 1}")]
    _save(folder, _graph(nodes, ["batch", side], f"r{count - 1}", weights))


def _layer(index: int, source: str) -> list[onnx.NodeProto]:
    steps: tuple[tuple[str, list[str], str, dict[str, Any]], ...] = (
        ("Shape", [source], "shape", {}),
        ("Gather", [f"shape{index}", "first"], "rows", {}),
        ("Unsqueeze", [f"rows{index}", "axis"], "row", {}),
        ("Concat", [f"row{index}", "width"], "sizes", {"axis": 0}),
        ("Reshape", [source, f"sizes{index}"], "flat", {}),
        ("Cast", [f"flat{index}"], "wide", {"to": TensorProto.DOUBLE}),
        ("Cast", [f"wide{index}"], "narrow", {"to": TensorProto.FLOAT}),
        ("Gemm", [f"narrow{index}", f"w{index}"], "m", {"transB": 1}),
        ("Identity", [f"m{index}"], "same", {}),
        ("Relu", [f"same{index}"], "r", {}),
    )
    return [
        helper.make_node(kind, inputs, [f"{name}{index}"], f"{name}_{index}", **attributes)
        for kind, inputs, name, attributes in steps
    ]


def _save(folder: Path, graph: onnx.GraphProto) -> None:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    large = model.ByteSize() > 1 << 30
    onnx.save(model, folder / "model.onnx", save_as_external_data=large, location="model.onnx.data")


def _graph(
    nodes: list[onnx.NodeProto], shape: list[int | str], last: str, weights: list[onnx.TensorProto]
) -> onnx.GraphProto:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("x", last)]
    return helper.make_graph(nodes, "benchmark", ends[:1], ends[1:], weights)


MODELS = {
    "resnet50": write_resnet50,
    "deep": write_deep,
    "large": write_large,
    "clumsy": write_clumsy,
    "images64": lambda folder: write_images(folder, 64),
    "images640": lambda folder: write_images(folder, 640),
}


if __name__ == "__main__":
    MODELS[sys.argv[1]](Path(sys.argv[2]))  # type: ignore[no-untyped-call]  # lambdas
