"""Counts beside torch's own, and beside sums made by hand."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from onnx import numpy_helper
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from optkit.core.interface import Dim, Interface, Tensor
from optkit.graph.cost import ModelCost, model_cost
from optkit.graph.describe import describe

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(32, 96), nn.Linear(32, 32)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (each.unflatten(-1, (4, 8)).transpose(1, 2) for each in self.qkv(x).chunk(3, -1))
        scores = (q @ k.transpose(-1, -2) / 8**0.5).softmax(-1)
        return self.out((scores @ v).transpose(1, 2).flatten(2))  # type: ignore[no-any-return]  # torch types it Any


MODULES: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "convolution": (nn.Conv2d(3, 8, 3, stride=2, padding=1), (2, 3, 17, 20)),
    "grouped": (nn.Conv2d(8, 16, 3, groups=4), (2, 8, 9, 9)),
    "depthwise": (nn.Conv2d(8, 8, 5, groups=8, padding=2), (1, 8, 12, 12)),
    "dilated in one dimension": (nn.Conv1d(4, 6, 3, dilation=2), (3, 4, 20)),
    "transposed": (nn.ConvTranspose2d(6, 4, 3, stride=2), (2, 6, 7, 5)),
    "three dimensions": (nn.Conv3d(2, 4, 3), (1, 2, 6, 6, 6)),
    "linear": (nn.Linear(10, 7), (4, 10)),
    "linear on sequences": (nn.Linear(10, 7), (4, 5, 10)),
    "attention": (Attention(), (2, 6, 32)),
    "small network": (
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)),
        (5, 3, 8, 8),
    ),
}


@pytest.mark.parametrize(("module", "shape"), MODULES.values(), ids=MODULES)
def test_macs_are_those_that_torch_counts(module: nn.Module, shape: tuple[int, ...], tmp_path: Path) -> None:
    x = torch.zeros(shape)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module.eval()(x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the TorchScript exporter is deprecated, and quick
        torch.onnx.export(
            module, (x,), tmp_path / "m.onnx", input_names=["x"], dynamic_axes={"x": {0: "batch"}}, dynamo=False
        )
    found = cost(onnx.load(tmp_path / "m.onnx"), {"batch": shape[0]})
    assert 2 * found.macs.value == counter.get_total_flops()
    assert not found.uncounted
    (term,) = found.macs.terms
    assert term == {"coefficient": found.macs.value // shape[0], "powers": {"batch": 1}}


def cost(proto: onnx.ModelProto, sizes: Mapping[str, int] | None = None) -> ModelCost:
    model = ir.from_proto(proto)
    found = describe(model)
    dims = {name: Dim(1, size, 64) for name, size in (sizes or {}).items()}
    return model_cost(model, Interface(found.inputs, found.outputs, {**found.dims, **dims}), 3)


def net(text: str, weights: Sequence[onnx.TensorProto] = (), opset: int = 20) -> onnx.ModelProto:
    header = f'<ir_version: 10, opset_import: ["" : {opset}, "com.microsoft" : 1, "own" : 1]>'
    proto = onnx.parser.parse_model(header + text)
    proto.graph.initializer.extend(weights)
    return proto


def weight(name: str, *shape: int) -> onnx.TensorProto:
    return numpy_helper.from_array(np.zeros(shape, np.float32), name)


def constant(name: str, value: object, kind: type = np.int64) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(value, kind), name)


def test_attention_is_quadratic_in_the_length() -> None:
    text = """g (float[batch, seq, 32] x) => (float[batch, seq, seq] y) {
        t = Transpose<perm = [0, 2, 1]>(x)
        s = MatMul(x, t)
        y = Softmax(s)
    }"""
    found = cost(net(text), {"batch": 2, "seq": 10})
    assert found.macs.value == 2 * 10 * 10 * 32
    assert found.macs.formula == "32·batch·seq²"
    assert found.flops.value == 2 * found.macs.value + 5 * 2 * 10 * 10


def test_sizes_are_followed_through_arithmetic() -> None:
    """A reshape to (batch · seq, 8) by Shape, Gather, Mul and Concat."""
    text = """g (float[batch, seq, 8] x) => (float[n, 4] y) {
        shape = Shape(x)
        a = Gather(shape, zero)
        b = Gather(shape, one)
        ab = Mul(a, b)
        flat = Concat<axis = 0>(ab, eight)
        r = Reshape(x, flat)
        y = MatMul(r, w)
    }"""
    weights = [constant("zero", [0]), constant("one", [1]), constant("eight", [8]), weight("w", 8, 4)]
    found = cost(net(text, weights), {"batch": 3, "seq": 5})
    assert found.macs.formula == "32·batch·seq"
    assert found.uncounted == {}


def test_a_strided_convolution_holds_at_steps() -> None:
    text = """g (float[1, 3, height, 32] x) => (float[1, 8, h, w] y) {
        a = Conv<strides = [2, 2], pads = [1, 1, 1, 1]>(x, w1)
        y = Conv<strides = [2, 2], pads = [1, 1, 1, 1]>(a, w2)
    }"""
    found = cost(net(text, [weight("w1", 4, 3, 3, 3), weight("w2", 8, 4, 3, 3)]), {"height": 64})
    assert found.steps == {"height": 4}
    assert found.macs.value == 32 * 16 * 4 * 27 + 16 * 8 * 8 * 36


OPERATORS = {
    "FusedMatMul": ("FusedMatMul<transB = 1>(x, w)", [weight("w", 6, 8)], 2 * 4 * 8 * 6),
    "FusedMatMul, transposed": ("FusedMatMul<transA = 1>(x, w)", [weight("w", 2, 4, 6)], 2 * 8 * 4 * 6),
    "MatMulNBits": (
        "MatMulNBits<K = 8, N = 6, bits = 4, block_size = 16>(x, w)",
        [weight("w", 6, 1, 8)],
        2 * 4 * 8 * 6,
    ),
    "BiasGelu": ("BiasGelu(x, w)", [weight("w", 8)], 0),
}


@pytest.mark.parametrize(("body", "weights", "macs"), OPERATORS.values(), ids=OPERATORS)
def test_operators_of_onnx_runtime(body: str, weights: list[onnx.TensorProto], macs: int) -> None:
    found = cost(net(f"g (float[2, 4, 8] x) => (float[a, b, c] y) {{ y = com.microsoft.{body} }}", weights))
    assert found.macs.value == macs
    assert not found.uncounted
    assert found.unsized == 0


def test_einsum_and_recurrent_cells() -> None:
    text = """g (float[batch, 5, 6] x) => (float[batch, 5, 7] y) {
        y = Einsum<equation = "...ij,jk->...ik">(x, w)
    }"""
    assert cost(net(text, [weight("w", 6, 7)]), {"batch": 2}).macs.value == 2 * 5 * 6 * 7
    text = """g (float[seq, batch, 6] x) => (float[seq, 2, batch, 4] y) {
        y = LSTM<hidden_size = 4, direction = "bidirectional">(x, w, r)
    }"""
    found = cost(net(text, [weight("w", 2, 16, 6), weight("r", 2, 16, 4)]), {"seq": 3, "batch": 2})
    assert found.macs.formula == "320·batch·seq"


def test_a_loop_with_a_known_count_costs_so_many_iterations() -> None:
    text = """g (float[4, 8] x, bool more) => (float[4, 8] y) {{
        y = Loop<body = b (int64 i, bool c, float[4, 8] s) => (bool out, float[4, 8] t) {{
            out = Identity({condition})
            t = MatMul(s, w)
        }}>(trips, go, x)
    }}"""
    weights = [weight("w", 8, 8), constant("trips", 5), constant("go", True, np.bool_)]  # noqa: FBT003
    known = cost(net(text.format(condition="c"), weights))
    assert known.macs.value == 5 * 4 * 8 * 8
    open_ended = cost(net(text.format(condition="more"), weights))
    assert open_ended.macs.value == 0
    (reason,) = open_ended.uncounted.values()
    assert reason == "how often it runs depends on the data; each time takes 256 MACs and 512 FLOPs"


def test_the_costlier_branch_is_counted() -> None:
    text = """g (float[4, 8] x, bool which) => (float[4, 8] y) {
        y = If<then_branch = a () => (float[4, 8] p) { p = MatMul(x, w) },
                       else_branch = b () => (float[4, 8] q) { q = Relu(x) }>(which)
    }"""
    assert cost(net(text, [weight("w", 8, 8)])).macs.value == 256


def test_nested_functions_are_costed_once_per_kind_of_call() -> None:
    """Thirty functions, each of which calls the one before twice: 2^30 products."""
    functions = ['<opset_import: ["" : 20, "own" : 1], domain: "own"> f0 (a, w) => (b) { b = MatMul(a, w) }']
    functions += [
        f'<opset_import: ["" : 20, "own" : 1], domain: "own"> f{n} (a, w) => (c) '
        f"{{ b = own.f{n - 1}(a, w) c = own.f{n - 1}(b, w) }}"
        for n in range(1, 31)
    ]
    proto = net(
        "g (float[2, 8] x) => (float[2, 8] y) { y = own.f30(x, w) }\n" + "\n".join(functions), [weight("w", 8, 8)]
    )
    assert cost(proto).macs.value == 2**30 * 2 * 8 * 8


def test_what_is_not_counted_is_named() -> None:
    text = """g (float[n] x) => (float[m] y) {
        i = NonZero(x)
        j = Squeeze(i)
        z = Gather(x, j)
        r = Relu(z)
        k = Det(square)
        y = Add(r, k)
    }"""
    found = cost(net(text, [weight("square", 3, 3)]))
    assert found.uncounted == {
        "Relu r": "a shape is unknown", "Det k": "no rule for this operator", "Add y": "a shape is unknown",
    }  # fmt: skip
    assert found.unsized == 5


def test_peak_memory_of_a_residual_branch() -> None:
    """x lives until the sum: at `b`, both ends of the product live beside it."""
    text = """g (float[batch, 100] x) => (float[batch, 100] y) {
        a = MatMul(x, w1)
        b = Relu(a)
        c = MatMul(b, w2)
        y = Add(x, c)
    }"""
    found = cost(net(text, [weight("w1", 100, 400), weight("w2", 400, 100)]), {"batch": 2})
    assert found.peak_bytes.value == 4 * 2 * (100 + 400 + 400)
    assert found.peak_bytes.formula == "3.6 k·batch"
    assert list(found.activations) == ["a", "b", "x"]


def test_a_view_takes_no_memory() -> None:
    text = """g (float[8, 100] x) => (float[800] y) {
        a = Relu(x)
        b = Reshape(a, flat)
        y = Identity(b)
    }"""
    assert cost(net(text, [constant("flat", [-1])])).peak_bytes.value == 2 * 3200


def test_weights_are_not_read() -> None:
    """Three gigabytes that are not there."""
    text = "g (float[batch, 16384] x) => (float[batch, 49152] y) { y = MatMul(x, w) }"
    model = ir.from_proto(net(text))
    absent = ir.ExternalTensor("absent.bin", 0, 3 << 30, ir.DataType.FLOAT, shape=ir.Shape([16384, 49152]), name="w")
    value = next(node for node in model.graph).inputs[1]
    assert value is not None
    value.const_value = absent
    model.graph.initializers.add(value)
    assert model_cost(model, describe(model), 1).macs.formula == "805.3 M·batch"


def test_inputs_of_any_type() -> None:
    text = "g (seq(float[2, 3]) s, float[n] x) => (float[n] y) { y = Relu(x) }"
    found = model_cost(ir.from_proto(net(text)), None, 1)
    assert found.flops.formula == "n"
    assert found.sizes == {"n": 16}


def test_an_interface_says_what_is_tuned_for() -> None:
    text = "g (float[N, 4] x) => (float[N, 4] y) { y = Relu(x) }"
    interface = Interface((Tensor("x", "float32", ("batch", 4)),), (), {"batch": Dim(1, 5, 9)})
    assert model_cost(ir.from_proto(net(text)), interface, 1).flops.value == 20
