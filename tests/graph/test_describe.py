from __future__ import annotations

from typing import TYPE_CHECKING

import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper

from optkit.core.errors import UsageError
from optkit.core.interface import Dim, Interface, Tensor
from optkit.graph.describe import apply_interface, check_interface, describe

if TYPE_CHECKING:
    from collections.abc import Callable

Shape = list[str | int | None]


def identity(*inputs: tuple[str, Shape], kind: int = TensorProto.FLOAT) -> ir.Model:
    graph = helper.make_graph(
        [helper.make_node("Identity", [name], [f"{name}_out"]) for name, _ in inputs],
        "g",
        [helper.make_tensor_value_info(name, kind, shape) for name, shape in inputs],
        [helper.make_tensor_value_info(f"{name}_out", kind, shape) for name, shape in inputs],
    )
    return ir.serde.deserialize_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]))


def shapes(model: ir.Model) -> list[tuple[int | str, ...]]:
    return [tensor.shape for tensor in describe(model).inputs]


@pytest.mark.parametrize("name", ["N", "batch_size", "unk__17", None, "batch"])
def test_shared_first_axis_is_the_batch(name: str | None) -> None:
    assert shapes(identity(("a", [name, 3]), ("b", [name, 4]))) == [("batch", 3), ("batch", 4)]


def test_first_axis_of_some_inputs_is_the_batch_only_if_its_name_says_so() -> None:
    assert shapes(identity(("a", ["bs", 3]), ("b", [4]))) == [("batch", 3), (4,)]
    assert shapes(identity(("a", ["rows", 3]), ("b", ["columns", 3]))) == [("rows", 3), ("columns", 3)]


def test_batch_is_followed_to_any_axis_and_to_the_outputs() -> None:
    interface = describe(identity(("a", ["N", 3]), ("state", [2, "N", 8])))
    assert interface.inputs[1].shape == (2, "batch", 8)
    assert interface.outputs[1].shape == (2, "batch", 8)


def test_unnamed_axes_get_stable_names() -> None:
    interface = describe(identity(("a/b:0", [None, None, "seq"])))
    assert interface.inputs[0].shape == ("batch", "a_b_0_1", "seq")
    assert set(interface.dims) == {"batch", "a_b_0_1", "seq"}


def test_fixed_axes_stay_fixed() -> None:
    interface = describe(identity(("a", [1, 3])))
    assert interface.inputs[0].shape == (1, 3)
    assert interface.dims == {}


def test_initializers_among_the_inputs_are_not_inputs(linear: Callable[..., onnx.ModelProto]) -> None:
    proto = linear()
    proto.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [64, 32]))
    assert [tensor.name for tensor in describe(ir.serde.deserialize_model(proto)).inputs] == ["x"]


def test_strings_are_refused() -> None:
    with pytest.raises(UsageError, match="must be numbers or booleans"):
        describe(identity(("a", ["N"]), kind=TensorProto.STRING))


def test_applied_interface_is_the_one_described() -> None:
    model = identity(("a", ["N", None]))
    tensor = Tensor("a", "float32", ("batch", "seq"))
    interface = Interface((tensor,), (Tensor("a_out", "float32", ("batch", "seq")),), {"batch": Dim(), "seq": Dim()})
    apply_interface(model, interface)
    found = describe(model)
    assert (found.inputs, found.outputs) == (interface.inputs, interface.outputs)
    assert check_interface(model, interface) == ""


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (Tensor("b", "float32", ("batch", 3)), "inputs are a, not b"),
        (Tensor("a", "int64", ("batch", 3)), "input a is float32"),
        (Tensor("a", "float32", ("batch", 3, 1)), "input a is float32"),
        (Tensor("a", "float32", ("batch", "seq")), r"axis 1 \(seq\) became 3"),
    ],
)
def test_differences_are_named(tensor: Tensor, message: str) -> None:
    import re

    interface = Interface((tensor,), (Tensor("a_out", "float32", ("batch", 3)),), {})
    assert re.search(message, check_interface(identity(("a", ["N", 3])), interface))


def test_an_output_that_is_listed_twice_is_refused() -> None:
    model = identity(("a", ["N", 3]))
    model.graph.outputs.append(model.graph.outputs[0])
    with pytest.raises(UsageError, match="the output a_out is listed twice"):
        describe(model)
