from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from optkit.core import interface as interfaces
from optkit.core.errors import UsageError
from optkit.core.interface import Dim
from optkit.passes.import_onnx import ImportOnnx

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from optkit.core.passes import Work


def third_party(opset: int = 11, height: str | int | None = "height") -> onnx.ModelProto:
    """A convolution and a reduction, as an old exporter writes them: initializers among the inputs, stale outputs."""
    weight = numpy_helper.from_array(np.random.default_rng(0).standard_normal((4, 3, 3, 3)).astype(np.float32), "W")
    nodes = [
        helper.make_node("Conv", ["data", "W"], ["c"], name="conv", doc_string="/home/somebody/train.py(3)"),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("GlobalAveragePool", ["r"], ["p"]),
        helper.make_node("Flatten", ["p"], ["features"]),
    ]
    graph = helper.make_graph(
        nodes, "net",
        [
            helper.make_tensor_value_info("data", TensorProto.FLOAT, ["unk__1", 3, height, 16]),
            helper.make_tensor_value_info("W", TensorProto.FLOAT, [4, 3, 3, 3]),
        ],
        [
            helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, None]),
            helper.make_tensor_value_info("r", TensorProto.FLOAT, ["unk__1", 4, None, 14]),
        ],
        [weight],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=6)


@pytest.fixture
def imported(tmp_path: Path, work: Work) -> Callable[..., Path]:
    def run(proto: onnx.ModelProto, **said: Any) -> Path:  # noqa: ANN401  # raw JSON
        folder = tmp_path / "source"
        folder.mkdir()
        (folder / "net.onnx").write_bytes(proto.SerializeToString())
        (folder / "model.json").write_text(json.dumps({"file": "net.onnx", **said}))
        ImportOnnx().run({"model": folder}, work)
        return work.out

    return run


def test_interface_is_read_from_the_graph(imported: Callable[..., Path]) -> None:
    interface = interfaces.read(imported(third_party()))
    assert [(tensor.name, tensor.shape) for tensor in interface.inputs] == [("data", ("batch", 3, "height", 16))]
    assert [(tensor.name, tensor.shape) for tensor in interface.outputs] == [
        ("features", ("batch", 4)),
        ("r", ("batch", 4, "r_2", 14)),
    ]


def test_sizes_that_the_model_runs_at_are_found(imported: Callable[..., Path]) -> None:
    assert interfaces.read(imported(third_party())).dims["height"].min == 32  # a height of 1 has no room for the kernel


def test_outputs_need_no_declared_rank(imported: Callable[..., Path]) -> None:
    proto = third_party()
    for output in proto.graph.output:
        output.type.tensor_type.ClearField("shape")
    interface = interfaces.read(imported(proto))
    assert interface.outputs[0].shape == ("batch", 4)


def test_recipe_names_axes_and_ranges(imported: Callable[..., Path]) -> None:
    said = {
        "inputs": {"data": {"dtype": "float32", "shape": ["batch", 3, "rows", 16], "range": [0, 1]}},
        "dims": {"rows": {"min": 3, "opt": 8, "max": 24}, "batch": {"min": 1, "opt": 2, "max": 4}},
    }
    interface = interfaces.read(imported(third_party(), **said))
    assert interface.inputs[0].shape == ("batch", 3, "rows", 16)
    assert interface.inputs[0].range == pytest.approx((0, 1))
    assert interface.dims == {"batch": Dim(1, 2, 4), "rows": Dim(3, 8, 24)}


def test_recipe_may_fix_a_dynamic_axis(imported: Callable[..., Path]) -> None:
    said = {"inputs": {"data": {"shape": ["batch", 3, 16, 16]}}}
    interface = interfaces.read(imported(third_party(), **said))
    assert interface.inputs[0].shape == ("batch", 3, 16, 16)
    assert interface.outputs[1].shape == ("batch", 4, 14, 14)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"inputs": {"image": {}}}, "no input called 'image'"),
        ({"inputs": {"data": {"dtype": "int64"}}}, "input data is float32 in the graph, int64 in the recipe"),
        ({"inputs": {"data": {"shape": ["batch", 3, 16]}}}, "input data has shape"),
        ({"inputs": {"data": {"shape": ["batch", 1, "height", 16]}}}, "axis 1 is fixed at 3 in the graph, 1 in the"),
        ({"inputs": {"data": {"shape": ["batch", 3, "height", "width"]}}}, "axis 3 is fixed at 16 in the graph, width"),
        ({"outputs": ["scores"]}, "no output called 'scores'"),
        ({"dims": {"depth": {"min": 1, "opt": 2, "max": 3}}}, "no input has a dimension called depth"),
        ({"dims": {"height": {"min": 1, "opt": 2, "max": 2}}}, "does not run at the sizes"),
    ],
)
def test_recipes_that_do_not_fit_are_refused(said: dict[str, Any], message: str, imported: Callable[..., Path]) -> None:
    with pytest.raises(UsageError, match=message):
        imported(third_party(), **said)


def test_graph_that_onnxruntime_refuses_is_reported_without_paths(
    imported: Callable[..., Path], tmp_path: Path
) -> None:
    proto = third_party()
    proto.graph.node[1].attribute.append(helper.make_attribute("nowhere", 1))
    with pytest.raises(UsageError, match=r"net\.onnx: ONNX Runtime refuses the graph: .*nowhere") as caught:
        imported(proto)
    assert str(tmp_path) not in str(caught.value)


def test_contrib_operators_are_judged_by_onnxruntime(imported: Callable[..., Path]) -> None:
    proto = third_party()
    proto.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    proto.graph.node[1].domain = "com.microsoft"
    proto.graph.node[1].op_type = "NoSuchRelu"
    with pytest.raises(UsageError, match="NoSuchRelu"):
        imported(proto)


def test_traces_of_the_exporter_go(imported: Callable[..., Path]) -> None:
    assert b"somebody" not in (imported(third_party()) / "model.onnx").read_bytes()


def test_external_weights_are_gathered(tmp_path: Path, work: Work) -> None:
    folder = tmp_path / "source"
    (folder / "weights").mkdir(parents=True)
    place = "weights/w.bin"
    onnx.save(third_party(), folder / "net.onnx", save_as_external_data=True, location=place, size_threshold=0)
    (folder / "model.json").write_text('{"file": "net.onnx"}')
    ImportOnnx().run({"model": folder}, work)
    assert sorted(file.name for file in work.out.iterdir()) == ["model.json", "model.onnx"]


def other(body: str, x: str = "[N, 4]", y: str = "[N, 4]", opset: int = 20, **weights: np.ndarray) -> onnx.ModelProto:
    """A graph in ONNX's text form, from x to y."""
    text = f'<ir_version: 8, opset_import: ["" : {opset}]> net (float{x} x) => (float{y} y) {{ {body} }}'
    proto = onnx.parser.parse_model(text)
    proto.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in weights.items())
    return proto


ONES, HALF, YES = np.ones(4, np.float32), np.array(0.5, np.float32), np.ones((), bool)
TRAINING = {
    "dropout": (
        other("[d] y, m = Dropout(x, half, yes)", half=HALF, yes=YES),
        "node 'd' is a Dropout in training mode",
    ),
    "normalisation": (
        other("[n] y, a, b = BatchNormalization<training_mode = 1>(x, s, t, t, s)", s=ONES, t=ONES),
        "node 'n' is a BatchNormalization in training mode",
    ),
    "normalisation of old": (
        other("y, a, b, c, d = BatchNormalization(x, s, t, t, s)", opset=9, s=ONES, t=ONES),
        "a BatchNormalization in training mode",
    ),
}


@pytest.mark.parametrize(("proto", "said"), TRAINING.values(), ids=TRAINING)
def test_training_mode_is_refused(proto: onnx.ModelProto, said: str, imported: Callable[..., Path]) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        imported(proto)
    assert "model.eval()" in caught.value.hint


def test_shapes_that_outputs_do_not_have_are_put_right(imported: Callable[..., Path]) -> None:
    assert interfaces.read(imported(other("y = Relu(x)", y="[N]"))).outputs[0].shape == ("batch", 4)


def test_a_size_that_depends_on_values_stays_open(imported: Callable[..., Path]) -> None:
    proto = other("p = Greater(x, zero) y = Compress(x, p)", x="[40]", y="[7]", zero=np.zeros((), np.float32))
    assert interfaces.read(imported(proto)).outputs[0].shape == ("y_0",)


def test_a_rank_that_depends_on_sizes_is_refused(imported: Callable[..., Path]) -> None:
    proto = other("y = Squeeze(x)", y="[M]")
    with pytest.raises(UsageError, match=r"output 'y' has shape \(8, 4\), and \(4,\) at another size of batch"):
        imported(proto)


def test_inputs_that_no_memory_holds_are_refused(imported: Callable[..., Path]) -> None:
    with pytest.raises(UsageError, match="input x has 1099511627776 numbers at its smallest sizes"):
        imported(other("y = Relu(x)", x=f"[N, {1 << 40}]", y=f"[N, {1 << 40}]"))


@pytest.mark.parametrize("opset", [7, 24])
def test_old_and_new_operator_sets_work(opset: int, imported: Callable[..., Path]) -> None:
    assert interfaces.read(imported(other("a = Relu(x) y = Dropout(a)", opset=opset))).outputs[0].shape == ("batch", 4)
