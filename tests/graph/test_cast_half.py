from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from optkit.graph.cast_half import cast_half
from optkit.graph.half_emulation import emulated
from optkit.graph.half_plan import HalfPlan, Rules, plan_half
from optkit.graph.save import save_model
from optkit.graph.session import open_graph

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from optkit.graph.half_types import HalfName

Node = onnx.NodeProto
node = helper.make_node
WIDTH = 8


def model_of(*nodes: Node, **weights: NDArray[Any]) -> ir.Model:
    """Returns a graph from a float `x` of shape (n, WIDTH) to `y`, with every value typed."""
    tensors = [numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()]
    ends = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", WIDTH])]
    graph = helper.make_graph(
        list(nodes), "g", ends, [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], tensors
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return ir.serde.deserialize_model(onnx.shape_inference.infer_shapes(proto, strict_mode=True))


def matrix(scale: float = 1.0) -> NDArray[Any]:
    return (np.random.default_rng(0).standard_normal((WIDTH, WIDTH)) * scale).astype(np.float32)


def scalar(value: float) -> NDArray[Any]:
    return np.array(value, np.float32)


def planned(model: ir.Model, kind: HalfName = "float16", operators: tuple[str, ...] = (), **rules: Any) -> HalfPlan:  # noqa: ANN401
    return plan_half(model, Rules(kind, frozenset(operators), **rules), half_inputs=False)


def kept(model: ir.Model, **rules: Any) -> dict[str, str]:  # noqa: ANN401
    return {node.name or "": reason for node, reason in planned(model, **rules).kept.items()}


def run(model: ir.Model, folder: Path, **feed: NDArray[Any]) -> NDArray[Any]:
    folder.mkdir()
    result: NDArray[Any] = open_graph(save_model(model, folder), optimize=False).run(["y"], feed)[0]
    return result


def product() -> list[Node]:
    return [node("MatMul", ["x", "w"], ["h"], "mul"), node("Add", ["h", "b"], ["y"], "add")]


def cast_model(model: ir.Model, kind: HalfName = "float16", *, keep_io: bool = True, **rules: Any) -> ir.Model:  # noqa: ANN401
    plan = plan_half(model, Rules(kind, frozenset(rules.pop("operators", ())), **rules), half_inputs=not keep_io)
    cast_half(model, plan, kind, keep_io=keep_io)
    return model


def xs(rows: int = 5) -> NDArray[Any]:
    return np.random.default_rng(1).standard_normal((rows, WIDTH)).astype(np.float32)


def test_everything_between_the_ends_is_half(tmp_path: Path) -> None:
    reference = run(model_of(*product(), w=matrix(), b=matrix()[0]), tmp_path / "a", x=xs())
    model = cast_model(model_of(*product(), w=matrix(), b=matrix()[0]))
    assert [item.op_type for item in model.graph] == ["Cast", "MatMul", "Add", "Cast"]
    assert {value.dtype for value in model.graph.initializers.values()} == {ir.DataType.FLOAT16}
    assert (model.graph.outputs[0].name, model.graph.outputs[0].dtype) == ("y", ir.DataType.FLOAT)
    np.testing.assert_allclose(run(model, tmp_path / "b", x=xs()), reference, atol=0.02)


def test_the_ends_change_if_wanted(tmp_path: Path) -> None:
    model = cast_model(model_of(*product(), w=matrix(), b=matrix()[0]), keep_io=False)
    assert [item.op_type for item in model.graph] == ["MatMul", "Add"]
    assert {value.dtype for value in (*model.graph.inputs, *model.graph.outputs)} == {ir.DataType.FLOAT16}
    assert run(model, tmp_path / "a", x=xs().astype(np.float16)).dtype == np.float16


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_the_emulation_rounds_every_result(kind: HalfName, tmp_path: Path) -> None:
    model = emulated(cast_model(model_of(*product(), w=matrix(), b=matrix()[0]), kind))
    assert {value.dtype for value in (*model.graph.inputs, *model.graph.outputs)} == {ir.DataType.FLOAT}
    dtype = ir.DataType[kind.upper()].numpy()

    def rounded(array: NDArray[Any]) -> NDArray[Any]:
        return array.astype(dtype).astype(np.float32)

    expected = rounded(rounded(rounded(xs()) @ rounded(matrix())) + rounded(matrix()[0]))
    np.testing.assert_allclose(run(model, tmp_path / "a", x=xs()), expected, rtol=2**-7)


def test_kept_operators_and_names_get_casts_around_them(tmp_path: Path) -> None:
    nodes = [
        node("MatMul", ["x", "w"], ["a"], "one"), node("Softmax", ["a"], ["b"], "soft"),
        node("MatMul", ["b", "w"], ["c"], "two"), node("MatMul", ["c", "w"], ["y"], "head"),
    ]  # fmt: skip
    reasons = kept(model_of(*nodes, w=matrix()), operators=("Softmax",), keep=("he*",))
    assert reasons == {"soft": "Softmax is kept in float32", "head": "kept by 'he*'"}
    model = cast_model(model_of(*nodes, w=matrix()), operators=("Softmax",), keep=("he*",))
    assert [item.op_type for item in model.graph] == [
        "Cast", "MatMul", "Cast", "Softmax", "Cast", "MatMul", "Cast", "MatMul",
    ]  # fmt: skip
    # The weight is read in both precisions.
    assert sorted(value.dtype.name for value in model.graph.initializers.values() if value.dtype) == [
        "FLOAT",
        "FLOAT16",
    ]
    reference = run(model_of(*nodes, w=matrix()), tmp_path / "a", x=xs())
    np.testing.assert_allclose(run(model, tmp_path / "b", x=xs()), reference, atol=0.02)


def test_one_cast_serves_all_readers() -> None:
    nodes = [
        node("Mul", ["x", "x"], ["a"], "square"),
        node("MatMul", ["x", "w"], ["b"], "mul"),
        node("Add", ["a", "b"], ["y"], "add"),
    ]
    model = cast_model(model_of(*nodes, w=matrix()))
    assert [item.op_type for item in model.graph].count("Cast") == 2


def test_masks_stay_float_up_to_the_softmax() -> None:
    nodes = [
        node("MatMul", ["x", "w"], ["s"], "scores"),
        node("Cast", ["keep"], ["k"], "mask", to=TensorProto.FLOAT),
        node("Sub", ["one", "k"], ["drop"], "drop"),
        node("Mul", ["drop", "lowest"], ["bias"], "scale"),
        node("Add", ["s", "bias"], ["masked"], "masked"),
        node("Softmax", ["masked"], ["y"], "soft"),
    ]
    model = model_of(*nodes, w=matrix(), keep=np.ones(WIDTH, np.int64), one=scalar(1), lowest=scalar(-3.4e38))
    reasons = kept(model, operators=("Softmax",))
    assert set(reasons) == {"mask", "drop", "scale", "masked", "soft"}
    assert "may lie beyond the range" in reasons["masked"]


@pytest.mark.parametrize(
    ("constant", "reason"),
    [(scalar(1e5), "beyond the range"), (scalar(-1e5), "beyond the range"), (scalar(1e-12), "vanishes"),
     (scalar(-np.inf), ""), (scalar(0), ""), (matrix(1e-12), ""), (matrix(1e6), "beyond the range")],
)  # fmt: skip
def test_constants_that_half_cannot_hold(constant: NDArray[Any], reason: str) -> None:
    nodes = [node("MatMul", ["x", "w"], ["h"], "mul"), node("Max", ["h", "c"], ["y"], "max")]
    reasons = kept(model_of(*nodes, w=matrix(), c=constant))
    assert reason in reasons.get("max", "")
    assert ("max" in reasons) == bool(reason)
    assert "max" not in kept(model_of(*nodes, w=matrix(), c=scalar(1e5)), kind="bfloat16")


def test_values_seen_beyond_the_range_stay_float() -> None:
    model = model_of(*product(), w=matrix(), b=matrix()[0])
    assert kept(model, peaks={"h": 3e4}) == {
        "mul": "values of 3e+04 are near or beyond the range of float16",
        "add": "values of 3e+04 are near or beyond the range of float16",
    }
    assert kept(model, peaks={"h": 1e4}) == {}
    assert kept(model, kind="bfloat16", peaks={"h": 3e4}) == {}


def test_int8_patterns_are_left_alone(tmp_path: Path) -> None:
    nodes = [
        node("QuantizeLinear", ["x", "s", "z"], ["q"], "q"), node("DequantizeLinear", ["q", "s", "z"], ["d"], "dq"),
        node("MatMul", ["d", "w"], ["h"], "int8"), node("MatMul", ["h", "w"], ["y"], "float"),
    ]  # fmt: skip
    weights = {"w": matrix(), "s": scalar(0.02), "z": np.array(128, np.uint8)}
    assert set(kept(model_of(*nodes, **weights))) == {"q", "dq", "int8"}
    reference = run(model_of(*nodes, **weights), tmp_path / "a", x=xs())
    model = cast_model(model_of(*nodes, **weights))
    np.testing.assert_allclose(run(model, tmp_path / "b", x=xs()), reference, atol=0.05)


def test_inputs_that_must_be_float32_stay(tmp_path: Path) -> None:
    nodes = [
        node("Reshape", ["x", "shape"], ["image"], "in"),
        node("Resize", ["image", "", "scales"], ["large"], "resize", mode="nearest"),
        node("Mul", ["large", "two"], ["y"], "mul"),
    ]
    weights = {"shape": np.array([-1, 1, 2, 4]), "scales": np.array([1, 1, 2, 2], np.float32), "two": scalar(2)}
    model = cast_model(model_of(*nodes, **weights))
    assert model.graph.initializers["scales"].dtype == ir.DataType.FLOAT
    assert run(model, tmp_path / "a", x=xs()).shape == (5, 1, 4, 8)


def test_shapes_that_only_move_floats_wait_for_the_cast() -> None:
    nodes = [
        node("Softmax", ["x"], ["a"], "soft"), node("Transpose", ["a"], ["b"], "turn", perm=[1, 0]),
        node("Transpose", ["b"], ["c"], "back", perm=[1, 0]), node("MatMul", ["c", "w"], ["y"], "mul"),
    ]  # fmt: skip
    assert set(kept(model_of(*nodes, w=matrix()), operators=("Softmax",))) == {"soft", "turn", "back"}


def test_an_operator_without_bfloat16_stays() -> None:
    nodes = [node("MatMul", ["x", "w"], ["h"], "mul"), node("HardSwish", ["h"], ["y"], "act")]
    assert kept(model_of(*nodes, w=matrix()), kind="bfloat16") == {"act": "HardSwish takes no bfloat16 here"}
    assert kept(model_of(*nodes, w=matrix())) == {}


def branch(name: str, *nodes: Node) -> onnx.GraphProto:
    return helper.make_graph(
        list(nodes), name, [], [helper.make_tensor_value_info(f"{name}_y", TensorProto.FLOAT, None)]
    )


def test_bodies_read_values_from_outside(tmp_path: Path) -> None:
    nodes = [
        node("MatMul", ["x", "w"], ["h"], "mul"),
        node("ReduceSum", ["x"], ["total"], "sum", keepdims=0),
        node("Greater", ["total", "zero"], ["positive"], "test"),
        node(
            "If", ["positive"], ["r"], "branch",
            then_branch=branch("then", node("MatMul", ["h", "w"], ["then_y"], "inner")),
            else_branch=branch("else", node("Identity", ["h"], ["else_y"], "same")),
        ),
        node("Add", ["r", "h"], ["y"], "add"),
    ]  # fmt: skip
    weights = {"w": matrix(), "zero": scalar(0)}
    plan = planned(model_of(*nodes, **weights))
    assert {item.name for item in plan.slots} >= {"mul", "inner", "add"}
    for sign in (1, -1):
        feed = np.abs(xs()) * np.float32(sign)
        reference = run(model_of(*nodes, **weights), tmp_path / f"a{sign}", x=feed)
        for index, change in enumerate((lambda model: model, emulated)):
            model = change(cast_model(model_of(*nodes, **weights)))
            np.testing.assert_allclose(run(model, tmp_path / f"b{sign}{index}", x=feed), reference, atol=0.1)


def test_an_output_that_others_read_and_one_that_is_an_input(tmp_path: Path) -> None:
    model = model_of(node("MatMul", ["x", "w"], ["y"], "mul"), node("Relu", ["y"], ["z"], "relu"), w=matrix())
    graph = model.graph
    graph.outputs.extend([graph[-1].outputs[0], graph.inputs[0]])
    cast_model(model)
    assert [(value.name, value.dtype) for value in graph.outputs] == [
        (name, ir.DataType.FLOAT) for name in ("y", "z", "x")
    ]
    (tmp_path / "a").mkdir()
    results = open_graph(save_model(model, tmp_path / "a")).run(None, {"x": xs()})
    np.testing.assert_allclose(results[1], np.maximum(results[0], 0), atol=1e-3)
    np.testing.assert_array_equal(results[2], xs())


@given(
    operators=st.lists(
        st.sampled_from(["MatMul", "Relu", "Softmax", "Sigmoid", "Identity", "Add"]), min_size=1, max_size=7
    ),
    keep_io=st.booleans(),
)
def test_any_chain_stays_valid_and_close(
    operators: list[str],
    keep_io: bool,  # noqa: FBT001  # drawn
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    nodes, last = [], "x"
    for index, operator in enumerate(operators):
        name = "y" if index == len(operators) - 1 else f"v{index}"
        extra = {"MatMul": ["w"], "Add": ["x"]}.get(operator, [])
        nodes.append(node(operator, [last, *extra], [name], f"n{index}"))
        last = name
    folder, feed = tmp_path_factory.mktemp("chain"), xs() * np.float32(0.1)
    reference = run(model_of(*nodes, w=matrix(0.1)), folder / "a", x=feed)
    model = cast_model(model_of(*nodes, w=matrix(0.1)), operators=("Softmax", "Sigmoid"), keep_io=keep_io)
    onnx.checker.check_model(ir.serde.serialize_model(model), full_check=True)
    result = run(model, folder / "b", x=feed if keep_io else feed.astype(np.float16))
    np.testing.assert_allclose(result, reference, atol=0.01 * max(1.0, float(np.abs(reference).max())))
