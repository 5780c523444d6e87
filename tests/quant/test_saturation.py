"""CPUs without VNNI add two products of 8 bits in 16 bits: on such a machine these tests see whether that saturates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from optkit.graph.save import save_model
from optkit.graph.session import open_graph
from optkit.graph.shapes import name_nodes, refresh_shapes
from optkit.quant.affine import quantize_weight, unsaturated_grid, weight_grid
from optkit.quant.engine import Format, write_static
from optkit.quant.placement import place
from optkit.quant.profiles import PROFILES
from optkit.runtimes.openvino_cpu import compile_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

WEIGHTS = hnp.arrays(
    np.float32, hnp.array_shapes(min_dims=2, max_dims=4, max_side=5), elements=st.floats(-1e3, 1e3, width=32)
)
LAYERS: dict[str, tuple[str, tuple[int, ...], tuple[int, ...]]] = {
    "pointwise": ("y = Conv(x, w)", (1, 32, 6, 6), (16, 32, 1, 1)),
    "window": ("y = Conv(x, w)", (1, 16, 8, 8), (8, 16, 3, 3)),
    "odd channels": ("y = Conv(x, w)", (1, 3, 8, 8), (8, 3, 3, 3)),
    "groups": ("y = Conv<group = 2>(x, w)", (1, 16, 8, 8), (8, 8, 3, 3)),
    "depthwise": ("y = Conv<group = 16>(x, w)", (1, 16, 8, 8), (16, 1, 3, 3)),
    "multiplied depthwise": ("y = Conv<group = 8>(x, w)", (1, 8, 8, 8), (16, 1, 3, 3)),
    "one dimension": ("y = Conv(x, w)", (1, 15, 32), (8, 15, 3)),
    "matmul": ("y = MatMul(x, w)", (4, 64), (64, 16)),
    "gemm": ("y = Gemm<transB = 1>(x, w)", (4, 63), (16, 63)),
}


@given(WEIGHTS, st.integers(0, 1))
def test_two_neighbours_stay_within_a_hundred_and_twenty_eight(array: NDArray[Any], axis: int) -> None:
    grid = unsaturated_grid(array, axis)
    codes = np.moveaxis(np.abs(quantize_weight(array, grid).astype(int)), axis, 0)
    rows = np.moveaxis(codes, 1, -1).reshape(len(codes), -1)
    padded = np.pad(rows, ((0, 0), (0, rows.shape[1] % 2)))
    assert (padded[:, ::2] + padded[:, 1::2]).max() <= 128
    # Never coarser than 7 bits, which is what it takes when two equal weights meet.
    assert (grid.scale <= weight_grid(array, axis, 64).scale * 1.005).all()
    assert (grid.scale >= weight_grid(array, axis).scale).all()


def layer(name: str, weight: NDArray[Any]) -> ir.Model:
    body, shape, _ = LAYERS[name]
    text = f'<ir_version: 8, opset_import: ["" : 17]> net (float{list(shape)} x) => (float y) {{{body}}}'
    model = ir.from_onnx_text(text, initializers=[ir.tensor(weight, name="w")])
    model.graph.outputs[0].shape = None
    name_nodes(model)
    refresh_shapes(model)
    return model


def equal(size: tuple[int, ...]) -> NDArray[Any]:
    return np.ones(size, np.float32)


def alternating(size: tuple[int, ...]) -> NDArray[Any]:
    return (1.0 - 1.5 * (np.arange(np.prod(size)) // 2 % 2)).reshape(size).astype(np.float32)


def heavy_tailed(size: tuple[int, ...]) -> NDArray[Any]:
    return (np.abs(np.random.default_rng(0).standard_normal(size)) ** 3).astype(np.float32)


def worst_error(model: ir.Model, x: NDArray[Any], folder: Path, target: str) -> float:
    """Returns how far integer kernels are from floats, as a share of the largest output."""
    (exact,) = open_graph(save_model(model, folder)).run(None, {"x": x})
    peak, profile = float(np.abs(exact).max()), PROFILES[target]
    form = Format(per_channel=True, reduce_range=True, window_pairs=profile.window_pairs)
    quantized = write_static(model, place(model, profile), {"x": (0.0, 1.0), "y": (-peak, peak)}, profile, form)
    path = save_model(quantized, folder)
    (floats,) = open_graph(path, optimize=False).run(None, {"x": x})
    return float(np.abs(KERNELS[target](path, x) - floats).max()) / peak


def in_onnxruntime(path: Path, x: NDArray[Any]) -> NDArray[Any]:
    result: NDArray[Any] = open_graph(path).run(None, {"x": x})[0]
    return result


def in_openvino(path: Path, x: NDArray[Any]) -> NDArray[Any]:
    pytest.importorskip("openvino")
    request = compile_model(path, 2).create_infer_request()
    request.infer([x])
    result: NDArray[Any] = request.get_output_tensor(0).data.copy()
    return result


KERNELS = {"onnxruntime-cpu": in_onnxruntime, "openvino-cpu": in_openvino}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("weights", [equal, alternating, heavy_tailed])
@pytest.mark.parametrize("target", KERNELS)
def test_kernels_do_not_saturate(
    name: str, weights: Callable[[tuple[int, ...]], NDArray[Any]], target: str, tmp_path: Path
) -> None:
    _, shape, size = LAYERS[name]
    x = np.ones(shape, np.float32)  # activations at their peak: the worst that can meet
    assert worst_error(layer(name, weights(size)), x, tmp_path, target) <= 2.05 / 255  # one step of the output
