from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from optkit.graph.channels import weight_of
from optkit.graph.shapes import name_nodes, refresh_shapes
from optkit.quant.affine import quantize_weight
from optkit.quant.bias_correction import correct_biases, layer_inputs, output_shift
from optkit.quant.engine import Format

Array = NDArray[Any]
CHANNELS = 6
# name → (body, weights): each layer has a place for a bias.
LAYERS: dict[str, tuple[str, dict[str, tuple[int, ...]]]] = {
    "conv": ("y = Conv(x, w, b)", {"w": (5, 6, 3, 3), "b": (5,)}),
    "conv without a bias": ("y = Conv(x, w)", {"w": (5, 6, 3, 3)}),
    "depthwise": ("y = Conv<group = 6>(x, w, b)", {"w": (12, 1, 3, 3), "b": (12,)}),
    "transposed": ("y = ConvTranspose(x, w, b)", {"w": (6, 5, 1, 1), "b": (5,)}),
    "gemm": ("f = Flatten(x) y = Gemm(f, w, b)", {"w": (6 * 64, 5), "b": (5,)}),
    "gemm transposed": ("f = Flatten(x) y = Gemm<transB = 1>(f, w, b)", {"w": (5, 6 * 64), "b": (5,)}),
    "matmul and add": ("f = Flatten(x) m = MatMul(f, w) y = Add(b, m)", {"w": (6 * 64, 5), "b": (5,)}),
}
FORMS = [
    Format(per_channel=True, reduce_range=False),
    Format(per_channel=True, reduce_range=True),
    Format(per_channel=False, reduce_range=True),
]


def build(body: str, shapes: dict[str, tuple[int, ...]], seed: int = 0) -> ir.Model:
    random = np.random.default_rng(seed)
    tensors = [ir.tensor(random.standard_normal(shape).astype(np.float32), name=n) for n, shape in shapes.items()]
    header = '<ir_version: 10, opset_import: ["" : 20]> net (float[N, 6, 8, 8] x) => (float y)'
    model = ir.from_onnx_text(f"{header} {{{body}}}", initializers=tensors)
    model.graph.outputs[0].shape = None
    name_nodes(model)
    refresh_shapes(model)
    return model


def run(model: ir.Model, x: Array) -> Array:
    import onnxruntime

    proto = ir.serde.serialize_model(model).SerializeToString()
    session = onnxruntime.InferenceSession(proto, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["y"], {"x": x})[0])


def rounded(model: ir.Model, form: Format) -> ir.Model:
    """Returns the model with its weights as int8 holds them."""
    copy = model.clone()
    weight = copy.graph.initializers["w"]
    assert weight.const_value is not None
    array = weight.const_value.numpy()
    out = {"Conv": 0, "ConvTranspose": 1, "MatMul": 1, "Gemm": 1}
    node = next(node for node in copy.graph if node.op_type in out)
    axis = 0 if node.attributes.get_int("transB", 0) else out[node.op_type]
    grid = form.grid(array, axis)
    shape = [1] * array.ndim
    shape[axis] = -1
    scale = grid.scale.reshape(shape) if form.per_channel else grid.scale
    weight.const_value = ir.tensor((quantize_weight(array, grid) * scale).astype(np.float32), name="w")
    return copy


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", LAYERS)
def test_the_mean_of_the_output_comes_back(name: str, form: Format) -> None:
    body, shapes = LAYERS[name]
    model = build(body, shapes)
    # The same everywhere within a channel, so that means are exact whatever the windows.
    x = np.ones((1, CHANNELS, 8, 8), np.float32) * np.arange(1, CHANNELS + 1, dtype=np.float32).reshape(-1, 1, 1)
    nodes = list(model.graph)
    mean = x[0, :, 0, 0] if "Flatten" not in body else x.reshape(-1)
    means = {tensor: mean.astype(np.float64) for tensor in layer_inputs(nodes)}
    expected, before = run(model, x), run(rounded(model, form), x)
    corrected = rounded(model, form)
    quantized_from = model.clone()
    assert correct_biases(quantized_from, {node.name or "" for node in nodes}, means, form)
    for node, other in zip(corrected.graph, quantized_from.graph, strict=True):
        take_bias(corrected, node, other)
    after = run(corrected, x)
    assert np.abs(before - expected).max() > 1e-2
    np.testing.assert_allclose(after, expected, rtol=1e-4, atol=1e-3)


def take_bias(model: ir.Model, node: ir.Node, source: ir.Node) -> None:
    for index, value in enumerate(source.inputs):
        if value is None or value.name is None or not value.name.endswith("corrected_bias"):
            continue
        bias = ir.Value(name=value.name, const_value=value.const_value, shape=value.shape, type=value.type)
        model.graph.register_initializer(bias)
        if len(node.inputs) <= index:
            node.resize_inputs(index + 1)
        node.replace_input_with(index, bias)


@pytest.mark.parametrize(
    ("body", "shapes"),
    [
        ("f = Flatten(x) m = MatMul(f, w) y = Relu(m)", {"w": (6 * 64, 5)}),
        ("b = GlobalAveragePool(x) n = Neg(w) y = Conv(b, n)", {"w": (5, 6, 1, 1)}),
        ("y = Conv<group = 2>(x, w)", {"w": (4, 3, 1, 1)}),
    ],
)
def test_layers_without_a_place_or_a_mean_stay(body: str, shapes: dict[str, tuple[int, ...]]) -> None:
    model = build(body, shapes)
    nodes = list(model.graph)
    means = {tensor: np.ones(6 * 64 if "Flatten" in body else 6) for tensor in layer_inputs(nodes)}
    assert correct_biases(model, {node.name or "" for node in nodes}, means, FORMS[0]) == []


def test_layers_that_stay_float_are_left_alone() -> None:
    model = build(*LAYERS["conv"])
    assert correct_biases(model, set(), {("x", -3): np.ones(6)}, FORMS[0]) == []


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), per_channel=st.booleans())
def test_the_shift_is_linear_in_the_mean(seed: int, *, per_channel: bool) -> None:
    model = build(*LAYERS["conv"], seed=seed)
    weight = weight_of(next(iter(model.graph)), 0, -3)
    assert weight is not None
    form = Format(per_channel, reduce_range=False)
    mean = np.random.default_rng(seed).standard_normal(6)
    shift = output_shift(weight, 0, mean, form)
    np.testing.assert_allclose(output_shift(weight, 0, 3 * mean, form), 3 * shift, rtol=1e-9)
    # Half a step per weight is the most that rounding moves.
    step = np.abs(weight.array()).max() / 127
    assert np.abs(shift).max() <= step / 2 * 9 * np.abs(mean).sum() * 1.001
